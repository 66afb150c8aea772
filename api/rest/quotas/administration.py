"""Limits of tenants and users over HTTP, for administrators (api.md 3.11)."""

from typing import Self
from uuid import UUID

import msgspec
from litestar import Controller, get, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from api.rest.endpoint import endpoint
from api.rest.quotas.schemas import TierOut, tiers_of
from api.rest.switches.schemas import Version
from api.rest.wire_types import Id, given
from domain.auth.policy import Action
from domain.errors import TenantNotFound, VersionConflict
from domain.ids import TenantId, UserId
from domain.quotas.administration import QuotaAdministration, TenantQuotas, UserQuotas
from domain.quotas.limits import Limits
from domain.subject import Subject


class TenantLimitsIn(msgspec.Struct, frozen=True, kw_only=True):
    tenant_limits: Limits
    user_defaults: Limits
    expected_version: Version | UnsetType = UNSET


class UserLimitsIn(msgspec.Struct, frozen=True, kw_only=True):
    limits: Limits
    expected_version: Version | UnsetType = UNSET


class TenantQuotasOut(msgspec.Struct, frozen=True, kw_only=True):
    """`tiers` are those of the tenant as a whole, where it has limits."""

    tenant_id: Id
    tenant_limits: Limits
    user_defaults: Limits
    version: int
    tiers: tuple[TierOut, ...]

    @classmethod
    def of(cls, tenant_id: UUID, quotas: TenantQuotas) -> Self:
        return cls(
            tenant_id=str(tenant_id),
            tenant_limits=quotas.tenant_limits,
            user_defaults=quotas.user_defaults,
            version=quotas.version,
            tiers=tiers_of(quotas.levels),
        )


class UserQuotasOut(msgspec.Struct, frozen=True, kw_only=True):
    tenant_id: Id
    user_id: Id
    limits: Limits
    effective: Limits
    version: int
    tiers: tuple[TierOut, ...]

    @classmethod
    def of(cls, tenant_id: UUID, user_id: UUID, quotas: UserQuotas) -> Self:
        return cls(
            tenant_id=str(tenant_id),
            user_id=str(user_id),
            limits=quotas.limits,
            effective=quotas.effective,
            version=quotas.version,
            tiers=tiers_of(quotas.levels),
        )


class QuotaAdministrationController(Controller):
    path = "/admin/quotas/tenants/{tenant_id:str}"
    tags = ("Administration",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.get_tenant_quotas",
        summary="Read the limits of a tenant",
        opt=endpoint(Action.READ_QUOTAS, TenantNotFound),
    )
    async def get_tenant_quotas(
        self,
        tenant_id: FromPath[UUID],
        subject: NamedDependency[Subject],
        quota_administration: NamedDependency[QuotaAdministration],
    ) -> TenantQuotasOut:
        return TenantQuotasOut.of(tenant_id, await quota_administration.tenant(subject, TenantId(tenant_id)))

    @put(
        "",
        status_code=200,
        operation_id="mini_chat.set_tenant_quotas",
        summary="Replace the limits of a tenant and those of each of its users",
        opt=endpoint(Action.SET_QUOTAS, VersionConflict),
    )
    async def set_tenant_quotas(
        self,
        tenant_id: FromPath[UUID],
        data: JSONBody[TenantLimitsIn],
        subject: NamedDependency[Subject],
        quota_administration: NamedDependency[QuotaAdministration],
    ) -> TenantQuotasOut:
        quotas = await quota_administration.set_tenant(
            subject, TenantId(tenant_id), data.tenant_limits, data.user_defaults, given(data.expected_version)
        )
        return TenantQuotasOut.of(tenant_id, quotas)

    @get(
        "/users/{user_id:str}",
        status_code=200,
        operation_id="mini_chat.get_user_quotas",
        summary="Read the limits of a user",
        opt=endpoint(Action.READ_QUOTAS, TenantNotFound),
    )
    async def get_user_quotas(
        self,
        tenant_id: FromPath[UUID],
        user_id: FromPath[UUID],
        subject: NamedDependency[Subject],
        quota_administration: NamedDependency[QuotaAdministration],
    ) -> UserQuotasOut:
        quotas = await quota_administration.user(subject, TenantId(tenant_id), UserId(user_id))
        return UserQuotasOut.of(tenant_id, user_id, quotas)

    @put(
        "/users/{user_id:str}",
        status_code=200,
        operation_id="mini_chat.set_user_quotas",
        summary="Replace the limits of a user",
        opt=endpoint(Action.SET_QUOTAS, VersionConflict),
    )
    async def set_user_quotas(
        self,
        tenant_id: FromPath[UUID],
        user_id: FromPath[UUID],
        data: JSONBody[UserLimitsIn],
        subject: NamedDependency[Subject],
        quota_administration: NamedDependency[QuotaAdministration],
    ) -> UserQuotasOut:
        quotas = await quota_administration.set_user(
            subject, TenantId(tenant_id), UserId(user_id), data.limits, given(data.expected_version)
        )
        return UserQuotasOut.of(tenant_id, user_id, quotas)

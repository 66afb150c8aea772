"""Limits of tenants and users, as administrators see and set them (api.md 3.11)."""

from uuid import UUID

import msgspec

from domain.audit.events import Actor, EventType, audit_event
from domain.auth.administration import on_record
from domain.auth.policy import Action, Policy
from domain.clock import Clock
from domain.errors import InvalidRequest, TenantNotFound, VersionConflict
from domain.ids import TenantId, UserId
from domain.quotas.buckets import Holder
from domain.quotas.limits import Limits
from domain.quotas.models import QuotaRules
from domain.quotas.ports import LimitPlace, LimitTx
from domain.quotas.warnings import QuotaLevel, levels_of
from domain.scope import AccessScope
from domain.subject import Subject
from domain.unit_of_work import Access, UnitOfWork

_NOBODY = UserId(UUID(int=0))


class TenantQuotas(msgspec.Struct, frozen=True, kw_only=True):
    """`levels` are those of the tenant as a whole; `version` 0: nothing was ever set."""

    tenant_limits: Limits
    user_defaults: Limits
    version: int
    levels: tuple[QuotaLevel, ...]


class UserQuotas(msgspec.Struct, frozen=True, kw_only=True):
    limits: Limits
    effective: Limits
    version: int
    levels: tuple[QuotaLevel, ...]


class QuotaAdministration:
    """A limit counts from the next send on: each reads it in the transaction that admits it."""

    def __init__(self, begin: UnitOfWork[LimitTx], policy: Policy, rules: QuotaRules, clock: Clock) -> None:
        self._begin = begin
        self._policy = policy
        self._rules = rules
        self._clock = clock

    async def tenant(self, who: Subject, tenant_id: TenantId) -> TenantQuotas:
        """Raises TenantNotFound for one that has never done anything and has no limits."""
        self._policy.require(who, Action.READ_QUOTAS)
        with on_record(who, Action.READ_QUOTAS, f"tenant:{tenant_id}"):
            async with self._begin(_of(tenant_id), Access.READ) as tx:
                if not await tx.limits.tenant_exists():
                    raise TenantNotFound
                return await self._tenant(tx)

    async def set_tenant(
        self, who: Subject, tenant_id: TenantId, limits: Limits, user_defaults: Limits, expected: int | None
    ) -> TenantQuotas:
        """Both are replaced as a whole. Raises VersionConflict."""
        self._policy.require(who, Action.SET_QUOTAS)
        with on_record(who, Action.SET_QUOTAS, f"tenant:{tenant_id}"):
            async with self._begin(_of(tenant_id)) as tx:
                await _put(tx, LimitPlace.TENANT, limits, who, expected)
                await _put(tx, LimitPlace.USER_DEFAULT, user_defaults, who, None)
                await self._note(tx, who, _of(tenant_id), LimitPlace.TENANT)
                return await self._tenant(tx)

    async def user(self, who: Subject, tenant_id: TenantId, user_id: UserId) -> UserQuotas:
        """Raises TenantNotFound, InvalidRequest. A user that nobody has heard of has no limits of its own."""
        self._policy.require(who, Action.READ_QUOTAS)
        with on_record(who, Action.READ_QUOTAS, f"user:{tenant_id}/{user_id}"):
            async with self._begin(_of_user(tenant_id, user_id), Access.READ) as tx:
                if not await tx.limits.tenant_exists():
                    raise TenantNotFound
                return await self._user(tx)

    async def set_user(
        self, who: Subject, tenant_id: TenantId, user_id: UserId, limits: Limits, expected: int | None
    ) -> UserQuotas:
        """They are replaced as a whole. Raises VersionConflict, InvalidRequest."""
        self._policy.require(who, Action.SET_QUOTAS)
        with on_record(who, Action.SET_QUOTAS, f"user:{tenant_id}/{user_id}"):
            scope = _of_user(tenant_id, user_id)
            async with self._begin(scope) as tx:
                await _put(tx, LimitPlace.USER, limits, who, expected)
                await self._note(tx, who, scope, LimitPlace.USER)
                return await self._user(tx)

    async def _tenant(self, tx: LimitTx) -> TenantQuotas:
        standing = await tx.quotas.standing()
        return TenantQuotas(
            tenant_limits=standing.limits.tenant,
            user_defaults=standing.limits.user_defaults,
            version=await tx.limits.version(LimitPlace.TENANT),
            levels=levels_of(Holder.TENANT, standing, self._rules),
        )

    async def _user(self, tx: LimitTx) -> UserQuotas:
        standing = await tx.quotas.standing()
        return UserQuotas(
            limits=standing.limits.user,
            effective=standing.limits.effective(self._rules.defaults),
            version=await tx.limits.version(LimitPlace.USER),
            levels=levels_of(Holder.USER, standing, self._rules),
        )

    async def _note(self, tx: LimitTx, who: Subject, scope: AccessScope, place: LimitPlace) -> None:
        details: dict[str, object] = {
            "actor_tenant_id": who.tenant_id,
            "place": place.value,
            "version": await tx.limits.version(place),
        }
        if place is LimitPlace.USER:
            details["user_id"] = str(scope.user_id)
        event = audit_event(EventType.LIMITS_CHANGED, scope, Actor.of(who), self._clock.now(), details=details)
        await tx.events.add(event)


def _of(tenant_id: TenantId) -> AccessScope:
    return AccessScope(tenant_id=tenant_id, user_id=_NOBODY)


def _of_user(tenant_id: TenantId, user_id: UserId) -> AccessScope:
    """Raises InvalidRequest for whom no user can be: under the nil UUID stands what is the tenant's own."""
    if user_id == _NOBODY:
        raise InvalidRequest.of("user_id", "The nil UUID names no user.", "invalid_value")
    return AccessScope(tenant_id=tenant_id, user_id=user_id)


async def _put(tx: LimitTx, place: LimitPlace, limits: Limits, who: Subject, expected: int | None) -> None:
    if not await tx.limits.put(place, limits, who.user_id, expected):
        raise VersionConflict(await tx.limits.version(place))

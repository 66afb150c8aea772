"""The limits that were set for one tenant, and for one of its users."""

from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import UserId
from domain.quotas.limits import Limits
from domain.quotas.ports import LimitPlace
from domain.scope import AccessScope
from infra.postgres.repositories.quotas import THE_TENANT

_PLACE: Final = (
    bindparam("tenant_id", type_=Uuid()),
    bindparam("scope", type_=Text()),
    bindparam("subject_id", type_=Uuid()),
)

_EXISTS: Final = text("""
    SELECT EXISTS (SELECT FROM mini_chat.chats WHERE tenant_id = :tenant_id)
        OR EXISTS (SELECT FROM mini_chat.quota_limits WHERE tenant_id = :tenant_id)
""").bindparams(bindparam("tenant_id", type_=Uuid()))

_VERSION: Final = text("""
    SELECT version FROM mini_chat.quota_limits
    WHERE tenant_id = :tenant_id AND scope = :scope AND subject_id = :subject_id
""").bindparams(*_PLACE)

# Without a row version 0 is expected, and the insert makes version 1; with one the update looks at it again.
_PUT: Final = text("""
    INSERT INTO mini_chat.quota_limits AS present (tenant_id, scope, subject_id, total_daily_micro,
        total_monthly_micro, premium_daily_micro, premium_monthly_micro, version, updated_by)
    SELECT :tenant_id, :scope, :subject_id, :total_daily, :total_monthly, :premium_daily, :premium_monthly, 1, :by
    WHERE :expected IS NULL OR :expected = 0 OR EXISTS (
        SELECT FROM mini_chat.quota_limits
        WHERE tenant_id = :tenant_id AND scope = :scope AND subject_id = :subject_id)
    ON CONFLICT (tenant_id, scope, subject_id) DO UPDATE
    SET total_daily_micro = excluded.total_daily_micro,
        total_monthly_micro = excluded.total_monthly_micro,
        premium_daily_micro = excluded.premium_daily_micro,
        premium_monthly_micro = excluded.premium_monthly_micro,
        version = present.version + 1,
        updated_by = excluded.updated_by,
        updated_at = now()
    WHERE :expected IS NULL OR present.version = :expected
    RETURNING version
""").bindparams(
    *_PLACE,
    *(
        bindparam(name, type_=BigInteger())
        for name in ("total_daily", "total_monthly", "premium_daily", "premium_monthly", "expected")
    ),
    bindparam("by", type_=Uuid()),
)


class PostgresQuotaLimits:
    """Fills the port QuotaLimits."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def tenant_exists(self) -> bool:
        found = await self._connection.execute(_EXISTS, {"tenant_id": self._scope.tenant_id})
        return bool(found.scalar_one())

    async def version(self, place: LimitPlace) -> int:
        version: int | None = (await self._connection.execute(_VERSION, self._named(place))).scalar_one_or_none()
        return version or 0

    async def put(self, place: LimitPlace, limits: Limits, by: UserId, expected: int | None) -> bool:
        values = {
            **self._named(place),
            "total_daily": limits.total.limit_daily_credits_micro,
            "total_monthly": limits.total.limit_monthly_credits_micro,
            "premium_daily": limits.premium.limit_daily_credits_micro,
            "premium_monthly": limits.premium.limit_monthly_credits_micro,
            "expected": expected,
            "by": by,
        }
        return (await self._connection.execute(_PUT, values)).scalar_one_or_none() is not None

    def _named(self, place: LimitPlace) -> dict[str, UUID | str]:
        subject_id = self._scope.user_id if place is LimitPlace.USER else THE_TENANT
        return {"tenant_id": self._scope.tenant_id, "scope": place.value, "subject_id": subject_id}

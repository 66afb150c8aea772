"""What must be true of a user's credits at every moment: counters say what the turns say, and no limit is passed."""

from typing import Final
from uuid import UUID

import asyncpg

from domain.clock import SystemClock
from domain.quotas.hold_audit import HoldAuditor
from domain.quotas.limits import NO_LIMITS, Limits, TierLimits
from domain.quotas.ports import LimitPlace
from domain.scope import scope_for
from domain.subject import Subject
from domain.telemetry.ports import SilentTelemetry
from infra.postgres.held_buckets import PostgresHeldBuckets
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.harness.engine import MODEL, Engine

MOST_HELD_MICRO: Final = 2 * MODEL.max_output_tokens
"""By one turn, whatever its prompt."""

_COUNTED: Final = """
    SELECT period_type, sum(reserved_micro)::bigint AS reserved, sum(spent_micro)::bigint AS spent,
        (SELECT coalesce(sum(reserved_micro), 0)::bigint FROM mini_chat.chat_turns
         WHERE tenant_id = $1 AND state = 'running') AS held,
        (SELECT coalesce(sum(settled_micro), 0)::bigint FROM mini_chat.chat_turns WHERE tenant_id = $1) AS settled
    FROM mini_chat.quota_buckets WHERE tenant_id = $1 AND bucket = 'total' GROUP BY period_type"""

_USED: Final = """
    SELECT coalesce(sum(spent_micro + reserved_micro), 0)::bigint FROM mini_chat.quota_buckets
    WHERE tenant_id = $1 AND bucket = 'total' AND period_type = 'daily'
        AND period_start = (now() AT TIME ZONE 'UTC')::date"""

_CORRECTED: Final = "SELECT count(*) FROM mini_chat.ledger_entries WHERE tenant_id = $1 AND kind = 'adjust'"


def hold_auditor(engine: Engine) -> HoldAuditor:
    limits = TransactionLimits()
    held, begin = PostgresHeldBuckets(engine.pools.reserved, limits), PostgresUnitOfWork(engine.pools.requests, limits)
    return HoldAuditor(held, begin, SystemClock(), SilentTelemetry())


class Credits:
    """Of the only user of a tenant; `limit_micro` is that of the day, None where none was set."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID) -> None:
        self.limit_micro: int | None = None
        self._connection = connection
        self._tenant_id = tenant_id
        self._most_micro = 0

    async def limit(self, engine: Engine, who: Subject, room_micro: int | None) -> None:
        """So much from now on beside what is used; without it all limits are lifted."""
        used_micro = await self.used_micro()
        self.limit_micro = None if room_micro is None else used_micro + room_micro
        self._most_micro = used_micro + (room_micro or 0)
        limits = NO_LIMITS
        if self.limit_micro is not None:
            limits = Limits(total=TierLimits(limit_daily_credits_micro=self.limit_micro))
        begin = PostgresUnitOfWork(engine.pools.requests, TransactionLimits())
        async with begin(scope_for(who)) as tx:
            assert await tx.limits.put(LimitPlace.USER, limits, who.user_id, None)

    async def used_micro(self) -> int:
        used: int = await self._connection.fetchval(_USED, self._tenant_id)
        return used

    def may_refuse(self, used_micro: int) -> bool:
        """Whether there was no room for a turn when so much was used."""
        return self.limit_micro is not None and used_micro + MOST_HELD_MICRO > self.limit_micro

    async def check(self) -> None:
        for counted in await self._connection.fetch(_COUNTED, self._tenant_id):
            assert counted["reserved"] == counted["held"], f"I-30: {counted}"
            assert counted["spent"] == counted["settled"], f"I-31: {counted}"
        used_micro = await self.used_micro()
        assert self.limit_micro is None or used_micro <= self._most_micro, f"I-33: {used_micro} of {self._most_micro}"
        assert await self._connection.fetchval(_CORRECTED, self._tenant_id) == 0, "a hold was corrected"

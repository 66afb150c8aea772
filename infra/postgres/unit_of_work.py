"""A transaction under a tenant, with the repositories that take part in it.

What goes over the wire: one message with BEGIN and a statement that sets tenant and timeouts, the statements of the
use case, COMMIT.
"""

from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from domain.scope import AccessScope
from domain.unit_of_work import Access
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.repositories.cancellations import PostgresCancellations
from infra.postgres.repositories.charges import PostgresCharges
from infra.postgres.repositories.chats import PostgresChats
from infra.postgres.repositories.dead_jobs import PostgresDeadJobs
from infra.postgres.repositories.events import EventKeeping, PostgresEvents
from infra.postgres.repositories.hold_audit import PostgresHoldAudit
from infra.postgres.repositories.jobs import PostgresJobs
from infra.postgres.repositories.messages import PostgresMessages
from infra.postgres.repositories.model_overrides import PostgresModelOverrides
from infra.postgres.repositories.quota_limits import PostgresQuotaLimits
from infra.postgres.repositories.quotas import PostgresQuotas
from infra.postgres.repositories.switches import PostgresSwitches
from infra.postgres.repositories.system_credits import PostgresSystemCredits
from infra.postgres.repositories.thread_summaries import PostgresThreadSummaries
from infra.postgres.repositories.titles import PostgresTitles
from infra.postgres.repositories.turn_changes import PostgresChanges
from infra.postgres.repositories.turn_statuses import PostgresStatuses
from infra.postgres.repositories.turns.repository import PostgresTurns
from infra.postgres.transaction import TransactionLimits, transaction

_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_MODES: Final = {
    Access.READ: _READ,
    Access.LIST: _READ,
    Access.WRITE: "BEGIN ISOLATION LEVEL READ COMMITTED",
}
# A plan that the server keeps for all values is made for the many who have few rows, which are quickly sorted; whoever
# has very many would wait for it.
_PLANNED_EACH_TIME: Final = ", set_config('plan_cache_mode', 'force_custom_plan', true)"


class PostgresTransaction:
    """The repositories of one transaction; of no use after its block."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope, keeping: EventKeeping) -> None:
        self.chats = PostgresChats(connection, scope)
        self.messages = PostgresMessages(connection, scope)
        self.turns = PostgresTurns(connection, scope)
        self.changes = PostgresChanges(connection, scope)
        self.cancellations = PostgresCancellations(connection, scope)
        self.charges = PostgresCharges(connection, scope)
        self.hold_audit = PostgresHoldAudit(connection, scope)
        self.limits = PostgresQuotaLimits(connection, scope)
        self.quotas = PostgresQuotas(connection, scope)
        self.titles = PostgresTitles(connection, scope)
        self.system_credits = PostgresSystemCredits(connection, scope)
        self.statuses = PostgresStatuses(connection, scope)
        self.summaries = PostgresThreadSummaries(connection, scope)
        self.events = PostgresEvents(connection, scope, keeping)
        self.jobs = PostgresJobs(connection)
        self.dead_jobs = PostgresDeadJobs(connection)
        self.switches = PostgresSwitches(connection)
        self.model_overrides = PostgresModelOverrides(connection)


class PostgresUnitOfWork:
    """Fits UnitOfWork for every combination of repositories that PostgresTransaction has."""

    def __init__(
        self,
        pool: ConnectionPool,
        limits: TransactionLimits,
        keeping: EventKeeping = EventKeeping(),  # noqa: B008 - frozen
    ) -> None:
        self._pool = pool
        self._keeping = keeping
        self._openings = {
            access: f"{mode}; SELECT set_config('app.tenant', '%s', true), {limits.settings()}"
            + (_PLANNED_EACH_TIME if access is Access.LIST else "")
            for access, mode in _MODES.items()
        }
        self._ending = limits.ending

    def __call__(
        self, scope: AccessScope, access: Access = Access.WRITE
    ) -> AbstractAsyncContextManager[PostgresTransaction]:
        """The port's promises, and those of `transaction` about cancellation."""
        # Made from the number, so that nothing but a UUID can stand between the quotes.
        opening = self._openings[access] % UUID(int=scope.tenant_id.int)
        return transaction(
            self._pool, opening, self._ending, partial(PostgresTransaction, scope=scope, keeping=self._keeping)
        )

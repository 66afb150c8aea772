"""A transaction under a tenant, with the repositories that take part in it.

What goes over the wire: BEGIN (for READ with `ISOLATION LEVEL REPEATABLE READ READ ONLY`), one statement that sets
tenant and timeouts, the statements of the use case, COMMIT. Isolation and access mode ride on BEGIN because the
driver keeps them as attributes of the connection and the pool resets them without a round trip.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import msgspec
from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.scope import AccessScope
from domain.unit_of_work import Access
from infra.postgres.repositories.chats import PostgresChats
from infra.postgres.repositories.messages import PostgresMessages
from infra.postgres.repositories.turns import PostgresTurns
from infra.postgres.transaction import transaction


class TransactionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`statement`, `lock` and `idle` are kept by the server, `ending` by us: how long COMMIT or ROLLBACK may take."""

    statement: timedelta = timedelta(seconds=3)
    lock: timedelta = timedelta(seconds=2)
    idle: timedelta = timedelta(seconds=10)
    ending: timedelta = timedelta(seconds=3)


class PostgresTransaction:
    """The repositories of one transaction; of no use after its block."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self.chats = PostgresChats(connection, scope)
        self.messages = PostgresMessages(connection, scope)
        self.turns = PostgresTurns(connection, scope)


_OPEN: Final = select(
    func.set_config("app.tenant", bindparam("tenant"), True),
    func.set_config("statement_timeout", bindparam("statement_timeout"), True),
    func.set_config("lock_timeout", bindparam("lock_timeout"), True),
    func.set_config("idle_in_transaction_session_timeout", bindparam("idle_timeout"), True),
)


class PostgresUnitOfWork:
    """Fits UnitOfWork for every combination of repositories that PostgresTransaction has."""

    def __init__(self, engine: AsyncEngine, limits: TransactionLimits) -> None:
        self._engines = {
            Access.READ: engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True),
            Access.WRITE: engine.execution_options(isolation_level="READ COMMITTED"),
        }
        self._timeouts = {
            "statement_timeout": _milliseconds(limits.statement),
            "lock_timeout": _milliseconds(limits.lock),
            "idle_timeout": _milliseconds(limits.idle),
        }
        self._ending = limits.ending

    @asynccontextmanager
    async def __call__(self, scope: AccessScope, access: Access = Access.WRITE) -> AsyncIterator[PostgresTransaction]:
        """The port's promises, and those of `transaction` about cancellation."""
        async with transaction(self._engines[access], self._ending) as connection:
            await connection.execute(_OPEN, {"tenant": str(scope.tenant_id), **self._timeouts})
            yield PostgresTransaction(connection, scope)


def _milliseconds(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))

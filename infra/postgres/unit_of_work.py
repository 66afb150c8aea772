"""A transaction on one pooled connection, opened under a tenant.

What goes over the wire: BEGIN (for READ with `ISOLATION LEVEL REPEATABLE READ READ ONLY`), one statement that sets
tenant and timeouts, the statements of the use case, COMMIT. Isolation and access mode ride on BEGIN because the
driver keeps them as attributes of the connection and the pool resets them without a round trip.

A connection goes back to the pool only after the server has answered COMMIT or ROLLBACK. Whenever an answer may
still be under way (cancelled, timed out, cut), its socket is closed at once and the server rolls back by itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import cached_property
from typing import Final

import anyio
import msgspec
from sqlalchemy import bindparam, func, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.scope import AccessScope
from domain.unit_of_work import Access, OutcomeUnknown
from infra.postgres.errors import DRIVER_ERRORS, translated, translated_commit
from infra.postgres.repositories.chats import PostgresChats
from infra.postgres.repositories.messages import PostgresMessages
from infra.postgres.repositories.turns import PostgresTurns


class TransactionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`statement`, `lock` and `idle` are kept by the server, `ending` by us: how long COMMIT or ROLLBACK may take."""

    statement: timedelta = timedelta(seconds=3)
    lock: timedelta = timedelta(seconds=2)
    idle: timedelta = timedelta(seconds=10)
    ending: timedelta = timedelta(seconds=3)


class PostgresTransaction:
    """The repositories of one transaction; of no use after its block."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    @cached_property
    def chats(self) -> PostgresChats:
        return PostgresChats(self._connection, self._scope)

    @cached_property
    def messages(self) -> PostgresMessages:
        return PostgresMessages(self._connection, self._scope)

    @cached_property
    def turns(self) -> PostgresTurns:
        return PostgresTurns(self._connection, self._scope)


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
        self._ending_s = limits.ending.total_seconds()

    @asynccontextmanager
    async def __call__(self, scope: AccessScope, access: Access = Access.WRITE) -> AsyncIterator[PostgresTransaction]:
        """The port's promises, and these about cancellation.

        Before COMMIT is sent a cancelled block has done nothing. From then on the answer is awaited even in a
        cancelled scope, for `limits.ending` at most: OutcomeUnknown if it does not come. Only a native
        `task.cancel()` breaks through that; it leaves as CancelledError, with the outcome unknown as well.
        """
        with translated():
            connection = await self._engines[access].connect()
            settled = False
            try:
                await connection.execute(_OPEN, {"tenant": str(scope.tenant_id), **self._timeouts})
                yield PostgresTransaction(connection, scope)
                await self._commit(connection)
                settled = True
            except (TimeoutError, OutcomeUnknown):
                raise
            except Exception:
                settled = await self._rolled_back(connection)
                raise
            finally:
                with anyio.CancelScope(shield=True):
                    await (connection.close() if settled else _cut(connection))

    async def _commit(self, connection: AsyncConnection) -> None:
        with translated_commit(), anyio.fail_after(self._ending_s, shield=True):
            await connection.commit()

    async def _rolled_back(self, connection: AsyncConnection) -> bool:
        with suppress(*DRIVER_ERRORS), anyio.move_on_after(self._ending_s, shield=True):
            await connection.rollback()
            return True
        return False


async def _cut(connection: AsyncConnection) -> None:
    """Closes the socket without a goodbye, for which a silent server would keep us waiting."""
    try:
        if not connection.invalidated:
            driver = (await connection.get_raw_connection()).driver_connection
            if driver is not None:
                driver.terminate()
            await connection.invalidate()
    finally:
        await connection.close()


def _milliseconds(duration: timedelta) -> str:
    return str(int(duration.total_seconds() * 1000))

"""The connections of one process: a pool for requests, and a small one that requests cannot exhaust."""

from datetime import timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import event
from sqlalchemy.engine import ExceptionContext
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from infra.postgres.connection_pool import DRIVER, ConnectionPool
from infra.postgres.dsn import DIALECT, driver_dsn
from infra.postgres.prepared import json_text
from infra.postgres.statement_cache import StatementCache

_GRACE: Final = timedelta(seconds=1)
"""How much longer than the server the driver waits for a statement: only a silent server is cut off by it."""

_ABANDONED_AFTER: Final = "500ms"
"""How soon the server drops a query whose client has gone; by itself it would finish it first."""

_BACKGROUND_SIZE: Final = 2


class PoolLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`acquire` bounds the wait for a connection and, again, the opening of a new one."""

    size: int
    reserved_size: int
    acquire: timedelta
    statement: timedelta


class Pools(msgspec.Struct, frozen=True, kw_only=True):
    """`reserved` is for what must get through when requests hold everything: finalise, cancel, heartbeat.

    `background` is for jobs, which therefore never hold what requests wait for.
    """

    requests: ConnectionPool
    reserved: ConnectionPool
    background: ConnectionPool

    async def dispose(self) -> None:
        """Closes what is idle; a connection in use is closed when it comes back."""
        await self.requests.dispose()
        await self.reserved.dispose()
        await self.background.dispose()


def create_pools(address: str, limits: PoolLimits, *, application_name: str) -> Pools:
    """Needs no event loop and connects to nothing: the first use of a pool opens its first connection."""

    def pool(size: int, purpose: str) -> ConnectionPool:
        engine = create_async_engine(
            DIALECT,
            # `transaction` begins and ends them itself.
            isolation_level="AUTOCOMMIT",
            connect_args=_connection(address, limits, f"{application_name} {purpose}"),
            pool_size=size,
            max_overflow=0,
            pool_timeout=limits.acquire.total_seconds(),
            pool_use_lifo=True,
            # For the same reason nothing is left to undo when one comes back.
            pool_reset_on_return=None,
            json_serializer=json_text,
            json_deserializer=msgspec.json.decode,
        )
        event.listen(engine.sync_engine, "connect", _note_driver)
        event.listen(engine.sync_engine, "connect", _keep_short_statements)
        event.listen(engine.sync_engine, "handle_error", _cut_if_silent)
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        return ConnectionPool(engine, size)

    return Pools(
        requests=pool(limits.size, "requests"),
        reserved=pool(limits.reserved_size, "reserved"),
        background=pool(_BACKGROUND_SIZE, "background"),
    )


def _connection(address: str, limits: PoolLimits, application_name: str) -> dict[str, Any]:
    return {
        "dsn": driver_dsn(address),
        "timeout": limits.acquire.total_seconds(),
        "command_timeout": (limits.statement + _GRACE).total_seconds(),
        "server_settings": {
            "application_name": application_name,
            "client_connection_check_interval": _ABANDONED_AFTER,
        },
    }


def _note_driver(connection: Any, record: ConnectionPoolEntry) -> None:
    record.info[DRIVER] = connection.driver_connection


def _keep_short_statements(connection: Any, *_: object) -> None:
    """SQLAlchemy's own cache can be told how many it keeps, not which."""
    connection._prepared_statement_cache = StatementCache()  # noqa: SLF001 - a test watches that it is used


def _refuse_closed(connection: Any, *_: object) -> None:
    """One the server has closed while it was idle: the pool then opens another, without asking the server each time."""
    if connection.driver_connection.is_closed():
        raise DisconnectionError


def _cut_if_silent(context: ExceptionContext) -> None:
    """Before SQLAlchemy says goodbye, for which it would wait two more seconds on a server that gives no answer."""
    if isinstance(context.original_exception, TimeoutError) and context.connection is not None:
        driver: Any = context.connection.connection.driver_connection
        driver.terminate()

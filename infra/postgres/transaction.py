"""A transaction on a pooled connection, and how it ends.

It is begun and ended on the driver itself: one message carries BEGIN and everything that must hold from the first
statement on, one carries COMMIT. The engines are in autocommit mode, so SQLAlchemy sends neither.

A connection goes back to its pool only after the server has answered COMMIT or ROLLBACK. Whenever an answer may
still be under way (cancelled, timed out, cut), the socket is closed at once and the server rolls back by itself.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import TypeVar

import anyio
import asyncpg
import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.unit_of_work import OutcomeUnknown
from infra.postgres.connection_pool import ConnectionPool, driver_of
from infra.postgres.errors import DRIVER_ERRORS, DatabaseFault, translated, translated_commit

T = TypeVar("T")

_FAILED_TRANSACTION = "25P02"


class TransactionLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`statement`, `lock` and `idle` are kept by the server, `ending` by us: how long COMMIT or ROLLBACK may take."""

    statement: timedelta = timedelta(seconds=3)
    lock: timedelta = timedelta(seconds=2)
    idle: timedelta = timedelta(seconds=10)
    ending: timedelta = timedelta(seconds=3)

    def settings(self) -> str:
        """What a SELECT at the beginning has to call; each holds for its transaction only."""
        return (
            f"set_config('statement_timeout', '{_milliseconds(self.statement)}', true), "
            f"set_config('lock_timeout', '{_milliseconds(self.lock)}', true), "
            f"set_config('idle_in_transaction_session_timeout', '{_milliseconds(self.idle)}', true)"
        )


@asynccontextmanager
async def transaction(
    pool: ConnectionPool, opening: str, ending: timedelta, of: Callable[[AsyncConnection], T]
) -> AsyncIterator[T]:
    """`opening` begins it; it commits when the block is left normally, else rolls back. The block gets what `of` makes.

    Cancelled before COMMIT is sent, it has done nothing. From then on the answer is awaited even in a cancelled
    scope, for `ending` at most, and OutcomeUnknown says that it did not come. Only a native `task.cancel()` breaks
    through that; it leaves as CancelledError with the outcome just as unknown. Driver errors leave translated.
    """
    with translated():
        connection = await _taken(pool)
        driver: asyncpg.Connection | None = None
        answered = False
        try:
            driver = driver_of(connection)
            await driver.execute(opening)
            yield of(connection)
            await _committed(driver, ending)
            answered = True
        except (TimeoutError, OutcomeUnknown):
            raise
        except asyncpg.InterfaceError as error:
            if driver is None or driver.is_closed():
                raise asyncpg.ConnectionDoesNotExistError("closed meanwhile") from error
            raise
        except Exception:
            answered = await _rolled_back(connection, ending)  # noqa: ASYNC120 - shields itself
            raise
        finally:
            if not (answered and pool.keep(connection)):
                with anyio.CancelScope(shield=True):
                    if not answered:
                        await _cut(connection)
                    await connection.close()


async def _taken(pool: ConnectionPool) -> AsyncConnection:
    try:
        return await pool.take()
    except asyncpg.InterfaceError as error:
        # The server let us in and went away before SQLAlchemy had greeted it.
        raise asyncpg.ConnectionDoesNotExistError("closed while it was opened") from error


async def _committed(driver: asyncpg.Connection, ending: timedelta) -> None:
    deadline = anyio.current_time() + ending.total_seconds()
    answer = ""
    with translated_commit():
        with anyio.CancelScope(deadline=deadline, shield=True) as patience:
            answer = await driver.execute("COMMIT")
        if patience.cancelled_caught:
            raise TimeoutError
        if answer != "COMMIT":
            raise DatabaseFault(_FAILED_TRANSACTION, None)


async def _rolled_back(connection: AsyncConnection, ending: timedelta) -> bool:
    if connection.invalidated:
        return False
    with suppress(*DRIVER_ERRORS), anyio.move_on_after(ending.total_seconds(), shield=True):
        await driver_of(connection).execute("ROLLBACK")
        return True
    return False


async def _cut(connection: AsyncConnection) -> None:
    """Without a goodbye, for which a silent server would keep us waiting."""
    if not connection.invalidated:
        with suppress(*DRIVER_ERRORS):
            driver_of(connection).terminate()
        await connection.invalidate()


def _milliseconds(duration: timedelta) -> int:
    return int(duration.total_seconds() * 1000)

"""A transaction on a pooled connection, and how it ends.

A connection goes back to its pool only after the server has answered COMMIT or ROLLBACK. Whenever an answer may
still be under way (cancelled, timed out, cut), the socket is closed at once and the server rolls back by itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import anyio
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from domain.unit_of_work import OutcomeUnknown
from infra.postgres.errors import DRIVER_ERRORS, translated, translated_commit


@asynccontextmanager
async def transaction(engine: AsyncEngine, ending: timedelta) -> AsyncIterator[AsyncConnection]:
    """Begins with the first statement; commits when the block is left normally, else rolls back.

    Cancelled before COMMIT is sent, it has done nothing. From then on the answer is awaited even in a cancelled
    scope, for `ending` at most, and OutcomeUnknown says that it did not come. Only a native `task.cancel()` breaks
    through that; it leaves as CancelledError with the outcome just as unknown. Driver errors leave translated.
    """
    with translated():
        connection = await engine.connect()
        settled = False
        try:
            yield connection
            await _commit(connection, ending)
            settled = True
        except (TimeoutError, OutcomeUnknown):
            raise
        except Exception:
            settled = await _rolled_back(connection, ending)
            raise
        finally:
            with anyio.CancelScope(shield=True):
                await (connection.close() if settled else _cut(connection))


async def _commit(connection: AsyncConnection, ending: timedelta) -> None:
    with translated_commit(), anyio.fail_after(ending.total_seconds(), shield=True):
        await connection.commit()


async def _rolled_back(connection: AsyncConnection, ending: timedelta) -> bool:
    with suppress(*DRIVER_ERRORS), anyio.move_on_after(ending.total_seconds(), shield=True):
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

"""A transaction on a pooled connection, and how it ends.

A connection goes back to its pool only after the server has answered COMMIT or ROLLBACK. Whenever an answer may
still be under way (cancelled, timed out, cut), it is closed instead and the server rolls back by itself.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import anyio
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

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
        try:
            yield connection
            with translated_commit(), anyio.fail_after(ending.total_seconds(), shield=True):
                await connection.commit()
        finally:
            # Rolls back what is still open. Were the answer to that not to come either, SQLAlchemy drops the
            # connection, as it did already when a statement was cancelled or timed out.
            with suppress(*DRIVER_ERRORS), anyio.move_on_after(ending.total_seconds(), shield=True):
                await connection.close()

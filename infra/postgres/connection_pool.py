"""Connections that wait between two transactions where taking one costs nothing.

SQLAlchemy's own pool changes greenlets to hand a connection out and to take it back, which costs several times what
the driver needs to begin and commit. So a connection that a transaction has left clean stays at hand here; the rest,
bounds and patience included, is left to that pool.
"""

from contextlib import suppress

import anyio
import asyncpg
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from typing_extensions import override

from infra.postgres.errors import DRIVER_ERRORS

DRIVER = "driver"
"""Where the `info` of a pooled connection has the connection of the driver."""


def driver_of(connection: AsyncConnection) -> asyncpg.Connection:
    """Noted by the pool when it connected: to ask SQLAlchemy costs a change of greenlets."""
    driver: asyncpg.Connection = connection.info[DRIVER]
    return driver


class ConnectionPool(AsyncEngine):
    """An engine of `size` connections, of which one at least is never kept at hand: `connect` may need it."""

    def __init__(self, engine: AsyncEngine, size: int) -> None:
        super().__init__(engine.sync_engine)
        self._at_hand: list[AsyncConnection] = []
        self._room = size - 1
        self._waiting = 0

    async def take(self) -> AsyncConnection:
        """The one that was used last. Raises what `connect` raises, after its patience."""
        while self._at_hand:
            connection = self._at_hand.pop()
            if not driver_of(connection).is_closed():
                return connection
            await _parted_with(connection)
        self._waiting += 1
        try:
            return await self.connect()
        finally:
            self._waiting -= 1

    def keep(self, connection: AsyncConnection) -> bool:
        """Whether it stays at hand, with nothing open on it; False when it has to be closed because others wait."""
        if self._waiting or len(self._at_hand) >= self._room or connection.in_transaction():
            return False
        self._at_hand.append(connection)
        return True

    async def give_back(self) -> None:
        """Everything at hand goes back to the pool."""
        while self._at_hand:
            await self._at_hand.pop().close()

    @override
    async def dispose(self, close: bool = True) -> None:
        self._room = 0
        await self.give_back()
        await super().dispose(close)


async def _parted_with(connection: AsyncConnection) -> None:
    with anyio.CancelScope(shield=True), suppress(*DRIVER_ERRORS):
        await connection.invalidate()
        await connection.close()

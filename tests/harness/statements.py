"""Counts the SQL that engines send, through SQLAlchemy or on the driver: every message but COMMIT and ROLLBACK.

The message that begins a transaction counts as one, for it sets tenant and timeouts as well.
"""

from types import TracebackType
from typing import Any, Final, Self

import anyio.lowlevel
from sqlalchemy import Engine, event

from infra.postgres.connection_pool import ConnectionPool

_ENDS: Final = ("COMMIT", "ROLLBACK")


class StatementCounter:
    """`statements` holds, after the block, what was sent inside it, in order, as text without values."""

    def __init__(self, *pools: ConnectionPool) -> None:
        self.statements: list[str] = []
        self._pools = pools

    @property
    def count(self) -> int:
        return len(self.statements)

    async def __aenter__(self) -> Self:
        await self._empty_the_hand()
        for engine in self._engines:
            event.listen(engine, "before_cursor_execute", self._note_executed)
            event.listen(engine, "checkout", self._watch)
            event.listen(engine, "checkin", self._unwatch)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # The driver calls its loggers one turn of the loop after the statement.
        await anyio.lowlevel.checkpoint()
        await self._empty_the_hand()
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._note_executed)
            event.remove(engine, "checkout", self._watch)
            event.remove(engine, "checkin", self._unwatch)

    @property
    def _engines(self) -> list[Engine]:
        return [pool.sync_engine for pool in self._pools]

    async def _empty_the_hand(self) -> None:
        """Only what passes the pool's own door is watched."""
        for pool in self._pools:
            await pool.give_back()

    def _watch(self, connection: Any, *_: object) -> None:
        connection.driver_connection.add_query_logger(self._note)

    def _unwatch(self, connection: Any, *_: object) -> None:
        if connection is not None:
            connection.driver_connection.remove_query_logger(self._note)

    def _note_executed(self, *sent: Any) -> None:
        _connection, _cursor, statement, *_ = sent
        self.statements.append(statement)

    def _note(self, sent: Any) -> None:
        if not sent.query.startswith(_ENDS):
            self.statements.append(sent.query)

"""Counts the SQL that engines send, through SQLAlchemy or on the driver: every message but COMMIT and ROLLBACK.

The message that begins a transaction counts as one, for it sets tenant and timeouts as well.
"""

from types import TracebackType
from typing import Any, Final, Self

import anyio.lowlevel
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

_ENDS: Final = ("COMMIT", "ROLLBACK")


class StatementCounter:
    """`statements` holds, after the block, what was sent inside it, in order, as text without values."""

    def __init__(self, *engines: AsyncEngine) -> None:
        self.statements: list[str] = []
        self._engines = [engine.sync_engine for engine in engines]

    @property
    def count(self) -> int:
        return len(self.statements)

    async def __aenter__(self) -> Self:
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
        for engine in self._engines:
            event.remove(engine, "before_cursor_execute", self._note_executed)
            event.remove(engine, "checkout", self._watch)
            event.remove(engine, "checkin", self._unwatch)

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

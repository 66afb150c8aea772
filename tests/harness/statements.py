"""Counts the SQL that engines send: every statement but BEGIN, COMMIT and ROLLBACK."""

from types import TracebackType
from typing import Any, Final, Self

from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

_MOMENT: Final = "before_cursor_execute"


class StatementCounter:
    """`statements` holds what was sent inside the block, in order, as text without values."""

    def __init__(self, *engines: AsyncEngine) -> None:
        self.statements: list[str] = []
        self._engines = [engine.sync_engine for engine in engines]

    @property
    def count(self) -> int:
        return len(self.statements)

    def __enter__(self) -> Self:
        for engine in self._engines:
            event.listen(engine, _MOMENT, self._note)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for engine in self._engines:
            event.remove(engine, _MOMENT, self._note)

    def _note(self, *sent: Any) -> None:
        _connection, _cursor, statement, *_ = sent
        self.statements.append(statement)

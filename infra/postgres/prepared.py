"""Statements that are compiled when their module is read and run on the driver itself.

For the few that every turn sends: SQLAlchemy's way of running one costs several times what the driver needs.
They take part in the transaction of the connection like any other.
"""

from typing import Any, Final

import asyncpg
import msgspec
from sqlalchemy.dialects.postgresql import asyncpg as dialect
from sqlalchemy.sql.base import Executable

_DIALECT: Final = dialect.dialect()  # type: ignore[no-untyped-call]


class Prepared:
    """`parameters` are given by name, in the form the driver takes; JSON goes as text.

    A statement whose text depends on its values (an `IN` list) cannot be prepared so.
    """

    def __init__(self, statement: Executable) -> None:
        compiled = statement.compile(dialect=_DIALECT)  # type: ignore[attr-defined]
        self._text = str(compiled)
        self._order: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._constants: dict[str, Any] = {name: value for name, value in compiled.params.items() if value is not None}

    async def one(self, driver: asyncpg.Connection, parameters: dict[str, Any]) -> asyncpg.Record | None:
        """The first row, if there is any."""
        return await driver.fetchrow(self._text, *self._values(parameters))

    async def all(self, driver: asyncpg.Connection, parameters: dict[str, Any]) -> list[asyncpg.Record]:
        rows: list[asyncpg.Record] = await driver.fetch(self._text, *self._values(parameters))
        return rows

    def _values(self, parameters: dict[str, Any]) -> list[Any]:
        values = {**self._constants, **parameters}
        return [values[name] for name in self._order]


def json_text(value: object) -> str:
    """JSON in the form the driver takes."""
    return msgspec.json.encode(value).decode()

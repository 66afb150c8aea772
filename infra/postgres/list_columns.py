"""The fields of a list as SQL: which expression stands for a field, and how a value of its kind is bound."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import BigInteger, BindParameter, Boolean, DateTime, SQLColumnExpression, Text, Uuid, collate, literal
from sqlalchemy.types import TypeEngine

from domain.filters import Field, Kind, Value

ListColumns: TypeAlias = Mapping[str, SQLColumnExpression[Any]]
"""By the name of the field. What is not in it cannot be reached by a caller."""

TYPES: Final[Mapping[Kind, TypeEngine[Any]]] = {
    Kind.STRING: Text(),
    Kind.UUID: Uuid(),
    Kind.TIME: DateTime(timezone=True),
    Kind.INTEGER: BigInteger(),
    Kind.BOOL: Boolean(),
}


def by_code_point(column: SQLColumnExpression[Any]) -> SQLColumnExpression[Any]:
    """Text that compares and orders the same in a database of any locale."""
    return collate(column, "C")


def bound(field: Field, value: Value) -> BindParameter[Any]:
    return literal(value, TYPES[field.kind])

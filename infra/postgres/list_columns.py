"""The fields of a list as SQL: which expression stands for a field, and how a value of its kind is bound."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    DateTime,
    SQLColumnExpression,
    Text,
    Uuid,
    collate,
    func,
    literal,
    literal_column,
)
from sqlalchemy.types import TypeEngine

from domain.filters import Field, Kind, Value
from infra.postgres.orm.base import SCHEMA

ListColumns: TypeAlias = Mapping[str, SQLColumnExpression[Any]]
"""By the name of the field. What is not in it cannot be reached by a caller."""

TYPES: Final[Mapping[Kind, TypeEngine[Any]]] = {
    Kind.STRING: Text(),
    Kind.UUID: Uuid(),
    Kind.TIME: DateTime(timezone=True),
    Kind.INTEGER: BigInteger(),
    Kind.BOOL: Boolean(),
}

_LETTERS: Final[ColumnElement[Any]] = literal_column(f"{SCHEMA}.letters")


def seen(field: Field, columns: ListColumns) -> SQLColumnExpression[Any]:
    """Text compares and orders by code point whatever the locale of the database."""
    column = columns[field.name]
    return collate(column, "C") if field.kind is Kind.STRING else column


def lowered(field: Field, columns: ListColumns) -> SQLColumnExpression[Any]:
    """By the simple mapping of Unicode, whatever the locale of the database."""
    return collate(func.lower(columns[field.name].op("COLLATE")(_LETTERS)), "C")


def bound(field: Field, value: Value) -> BindParameter[Any]:
    return literal(value, TYPES[field.kind])

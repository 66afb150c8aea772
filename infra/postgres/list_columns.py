"""The fields of a list as SQL: which expression stands for a field, and how a value of its kind is bound."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    ColumnElement,
    DateTime,
    Text,
    Uuid,
    collate,
    func,
    literal_column,
)
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.types import TypeEngine

from domain.filters import Field, Kind, ListShape, Value
from infra.postgres.orm.base import SCHEMA

TYPES: Final[Mapping[Kind, TypeEngine[Any]]] = {
    Kind.STRING: Text(),
    Kind.UUID: Uuid(),
    Kind.TIME: DateTime(timezone=True),
    Kind.INTEGER: BigInteger(),
    Kind.BOOL: Boolean(),
}

_LETTERS: Final[ColumnElement[Any]] = literal_column(f"{SCHEMA}.letters")

Member: TypeAlias = ColumnElement[Any] | InstrumentedAttribute[Any]


class Shown(msgspec.Struct, frozen=True):
    """An expression, that it is not null, and that it is."""

    value: ColumnElement[Any]
    known: ColumnElement[bool]
    unknown: ColumnElement[bool]


class ListColumns:
    """By the fields of a list; what is not in it cannot be reached by a caller.

    Made once: SQLAlchemy takes longer over such an expression than over all the rest of a condition.
    """

    def __init__(self, shape: ListShape, columns: Mapping[str, Member]) -> None:
        self.shape = shape
        fields = [(field, _expression(columns[field.name])) for field in shape.fields]
        self._seen = {field.name: _shown(_by_code_point(field, column)) for field, column in fields}
        self._lowered = {
            field.name: _shown(_in_lower_case(column)) for field, column in fields if field.kind is Kind.STRING
        }

    def seen(self, field: Field) -> Shown:
        """Text compares and orders by code point whatever the locale of the database."""
        return self._seen[field.name]

    def lowered(self, field: Field) -> Shown:
        """By the simple mapping of Unicode, whatever the locale of the database."""
        return self._lowered[field.name]


def bound(field: Field, value: Value) -> BindParameter[Any]:
    return BindParameter(None, value, type_=TYPES[field.kind], unique=True)


def _expression(member: Member) -> ColumnElement[Any]:
    return member.expression if isinstance(member, InstrumentedAttribute) else member


def _shown(value: ColumnElement[Any]) -> Shown:
    return Shown(value, value.is_not(None), value.is_(None))


def _by_code_point(field: Field, column: ColumnElement[Any]) -> ColumnElement[Any]:
    return collate(column, "C") if field.kind is Kind.STRING else column


def _in_lower_case(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return collate(func.lower(column.op("COLLATE")(_LETTERS)), "C")

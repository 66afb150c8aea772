"""What a list is asked for, with its types: fields, conditions and order. Parsers build it, SQL is made from it.

The names and kinds of the fields are the only ones a caller can reach (api.md 2.3).
"""

from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Final, TypeAlias
from uuid import UUID

import msgspec


class Kind(Enum):
    STRING = "string"
    UUID = "uuid"
    TIME = "time"
    INTEGER = "integer"
    BOOL = "bool"


Value: TypeAlias = str | UUID | datetime | int | bool | None
"""A literal of the kind of its field. Times are in UTC; only a nullable field meets None."""


_HELD: Final = {
    Kind.STRING: str,
    Kind.UUID: UUID,
    Kind.TIME: datetime,
    Kind.INTEGER: int,
    Kind.BOOL: bool,
}
_LARGEST_INTEGER: Final = 2**63 - 1


class Field(msgspec.Struct, frozen=True):
    name: str
    kind: Kind
    nullable: bool = False

    def admits(self, value: Value) -> bool:
        """Whether a row could hold it here."""
        if value is None:
            return self.nullable
        if not isinstance(value, _HELD[self.kind]) or isinstance(value, bool) is not (self.kind is Kind.BOOL):
            return False
        if isinstance(value, datetime):
            return value.tzinfo is not None
        return not isinstance(value, int) or -_LARGEST_INTEGER - 1 <= value <= _LARGEST_INTEGER


class Operator(Enum):
    EQ = "eq"
    NE = "ne"
    GT = "gt"
    GE = "ge"
    LT = "lt"
    LE = "le"


class Match(Enum):
    CONTAINS = "contains"
    STARTS = "startswith"
    ENDS = "endswith"


class Operand(msgspec.Struct, frozen=True):
    """A field, or its text in lower case."""

    field: Field
    lowered: bool = False


class Compare(msgspec.Struct, frozen=True, tag=True):
    """`eq` and `ne` treat null as an ordinary value; every other operator on null is unknown."""

    operand: Operand
    operator: Operator
    value: Value


class Among(msgspec.Struct, frozen=True, tag=True):
    """Null is an ordinary value here too."""

    operand: Operand
    values: tuple[Value, ...]


class Matches(msgspec.Struct, frozen=True, tag=True):
    """Literally, by code point; unknown on null."""

    operand: Operand
    match: Match
    text: str


class Not(msgspec.Struct, frozen=True, tag=True):
    """Of unknown: unknown."""

    term: "Filter"


class And(msgspec.Struct, frozen=True, tag=True):
    terms: tuple["Filter", ...]


class Or(msgspec.Struct, frozen=True, tag=True):
    terms: tuple["Filter", ...]


Filter: TypeAlias = Compare | Among | Matches | Not | And | Or
"""A row belongs to the list when this is true of it; neither when it is false nor when it is unknown."""


def condition_count(term: Filter) -> int:
    """How many comparisons, lists of values and matches of text it is made of."""
    match term:
        case Not():
            return condition_count(term.term)
        case And() | Or():
            return sum(map(condition_count, term.terms))
        case _:
            return 1


class OrderKey(msgspec.Struct, frozen=True):
    """Null is the smallest value; text orders by code point, false before true (api.md 2.4)."""

    field: Field
    descending: bool = False


class ListShape(msgspec.Struct, frozen=True, kw_only=True):
    """What one list can be filtered and ordered by. `unique` makes every order total."""

    fields: tuple[Field, ...]
    unique: Field
    default_order: tuple[OrderKey, ...]

    def find(self, name: str) -> Field | None:
        """Names match without regard to the case of ASCII letters; no other character becomes one of them."""
        wanted = name.lower() if name.isascii() else name
        return next((field for field in self.fields if field.name == wanted), None)

    def total(self, order: Sequence[OrderKey]) -> tuple[OrderKey, ...]:
        """The same order, made total: what stands behind the unique field decides nothing and is left out."""
        fields = [key.field for key in order]
        if self.unique in fields:
            return tuple(order[: fields.index(self.unique) + 1])
        return (*order, OrderKey(self.unique, descending=order[-1].descending))

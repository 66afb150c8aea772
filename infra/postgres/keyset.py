"""Pages by key: a page starts beside the row it left off at, so it costs the same however far down the list."""

import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Row,
    Select,
    SQLColumnExpression,
    UnaryExpression,
    and_,
    false,
    literal_column,
    or_,
    true,
    tuple_,
)

from domain.errors import InvalidCursor
from domain.filters import OrderKey, Value
from domain.pagination import Page, PageQuery, Position, Travel
from infra.postgres.list_columns import ListColumns, bound

T = TypeVar("T")

_TURNED: Final = {Travel.FORWARD: Travel.BACKWARD, Travel.BACKWARD: Travel.FORWARD}
_COMPARISONS: Final[Mapping[tuple[bool, bool], Callable[[Any, Any], ColumnElement[bool]]]] = {
    (False, False): operator.gt,
    (False, True): operator.ge,
    (True, False): operator.lt,
    (True, True): operator.le,
}
"""By whether the rows descend, and whether the one at the position is among them."""
_KEY: Final = "order_key_"


class Keyset(msgspec.Struct, frozen=True, kw_only=True):
    """A total order over the columns of a list. The rows it asks for carry their keys beside their own columns."""

    columns: ListColumns
    order: tuple[OrderKey, ...]

    def beside(self, statement: Select[*tuple[Any, ...]], query: PageQuery) -> Select[*tuple[Any, ...]]:
        """The rows beyond the position, nearest first, one more than asked for. Raises InvalidCursor."""
        keys = [self._key(key, turned=_travel(query) is Travel.BACKWARD) for key in self.order]
        if query.position is not None:
            if not query.position.fits(self.order):
                raise InvalidCursor
            statement = statement.where(_beyond(keys, query.position))
        shown: list[Any] = [key.column.label(f"{_KEY}{place}") for place, key in enumerate(keys)]
        # In the text, not bound: a plan for any number of rows would not be the plan for a page.
        limit: ColumnElement[int] = literal_column(str(query.limit + 1))
        return statement.add_columns(*shown).order_by(*(key.ordered() for key in keys)).limit(limit)

    def page(self, found: Sequence[Row[*tuple[Any, ...]]], query: PageQuery, item_of: Callable[[Any], T]) -> Page[T]:
        """What `beside` found, cut to the limit and in list order; which edges have a position: api.md 2.6."""
        travel = _travel(query)
        rows = found[: query.limit]
        items = tuple(item_of(row) for row in rows)
        ahead = Position(keys=self._keys_of(rows[-1]), travel=travel) if len(found) > query.limit else None
        if query.position is None:
            return Page(items=items, next=ahead)
        behind = Position(keys=self._keys_of(rows[0]), travel=_TURNED[travel]) if rows else query.position.turned
        if travel is Travel.BACKWARD:
            return Page(items=items[::-1], next=behind, previous=ahead)
        return Page(items=items, next=ahead, previous=behind)

    def _key(self, key: OrderKey, *, turned: bool) -> "_Key":
        return _Key(key=key, column=self.columns.seen(key.field).value, descending=key.descending is not turned)

    def _keys_of(self, row: Row[*tuple[Any, ...]]) -> tuple[Value, ...]:
        return tuple(getattr(row, f"{_KEY}{place}") for place in range(len(self.order)))


class _Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key in the direction in which rows are fetched. Null is the smallest value."""

    key: OrderKey
    column: SQLColumnExpression[Any]
    descending: bool

    @property
    def nullable(self) -> bool:
        return self.key.field.nullable

    def ordered(self) -> UnaryExpression[Any]:
        if not self.nullable:
            return self.column.desc() if self.descending else self.column.asc()
        return self.column.desc().nulls_last() if self.descending else self.column.asc().nulls_first()

    def same(self, value: Value) -> ColumnElement[bool]:
        return self.column.is_(None) if value is None else self.column == bound(self.key.field, value)

    def further(self, value: Value) -> ColumnElement[bool]:
        if value is None:
            return false() if self.descending else self.column.is_not(None)
        if not self.descending:
            return self.column > bound(self.key.field, value)
        smaller = self.column < bound(self.key.field, value)
        return or_(smaller, self.column.is_(None)) if self.nullable else smaller

    def not_before(self, value: Value) -> ColumnElement[bool]:
        """Says nothing new beside the full condition, but an index can start at it."""
        if self.nullable:
            return true()
        edge = bound(self.key.field, value)
        return self.column <= edge if self.descending else self.column >= edge


def _beyond(keys: Sequence[_Key], position: Position) -> ColumnElement[bool]:
    values = position.keys
    if len({key.descending for key in keys}) == 1 and not any(key.nullable for key in keys):
        row = tuple_(*(key.column for key in keys))
        edge = tuple_(*(bound(key.key.field, value) for key, value in zip(keys, values, strict=True)))
        return _COMPARISONS[keys[0].descending, position.including](row, edge)
    pairs = list(zip(keys, values, strict=True))
    tied = [and_(true(), *(key.same(value) for key, value in pairs[:place])) for place in range(len(pairs))]
    beyond = [and_(same, key.further(value)) for same, (key, value) in zip(tied, pairs, strict=True)]
    if position.including:
        beyond.append(and_(*(key.same(value) for key, value in pairs)))
    return and_(keys[0].not_before(values[0]), or_(*beyond))


def _travel(query: PageQuery) -> Travel:
    return Travel.FORWARD if query.position is None else query.position.travel

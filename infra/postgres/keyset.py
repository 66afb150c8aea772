"""Pages by key: a page starts beside the row it left off at, so it costs the same however far down the list."""

from collections.abc import Callable, Sequence
from typing import Any, Final, Generic, TypeVar

import msgspec
from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from domain.errors import InvalidCursor
from domain.pagination import Page, PageQuery, Position, Travel

T = TypeVar("T")

_TURNED: Final = {Travel.FORWARD: Travel.BACKWARD, Travel.BACKWARD: Travel.FORWARD}


class Keyset(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A total order: all `columns` in one direction, and their values of an item as the text a position carries.

    `parse` raises ValueError for text that is no key of this list.
    """

    columns: tuple[InstrumentedAttribute[Any], ...]
    descending: bool
    parse: Callable[[tuple[str, ...]], tuple[object, ...]]
    keys_of: Callable[[T], tuple[str, ...]]

    def beside(self, statement: Select[*tuple[Any, ...]], query: PageQuery) -> Select[*tuple[Any, ...]]:
        """The rows beyond the position, nearest first, one more than asked for. Raises InvalidCursor."""
        descending = self.descending is not (_travel(query) is Travel.BACKWARD)
        if query.position is not None:
            statement = statement.where(self._beyond(query.position, descending=descending))
        order = (column.desc() if descending else column.asc() for column in self.columns)
        return statement.order_by(*order).limit(query.limit + 1)

    def page(self, found: Sequence[T], query: PageQuery) -> Page[T]:
        """What `beside` found, cut to the limit and in list order; which edges have a position: api.md 2.6."""
        travel = _travel(query)
        items = tuple(found[: query.limit])
        ahead = Position(keys=self.keys_of(items[-1]), travel=travel) if len(found) > query.limit else None
        if query.position is None:
            return Page(items=items, next=ahead)
        nearest = self.keys_of(items[0]) if items else query.position.keys
        behind = Position(keys=nearest, travel=_TURNED[travel])
        if travel is Travel.BACKWARD:
            return Page(items=items[::-1], next=behind, previous=ahead)
        return Page(items=items, next=ahead, previous=behind)

    def _beyond(self, position: Position, *, descending: bool) -> ColumnElement[bool]:
        try:
            keys = self.parse(position.keys)
        except ValueError:
            raise InvalidCursor from None
        row = tuple_(*self.columns)
        edge = tuple_(*(literal(key, column.type) for key, column in zip(keys, self.columns, strict=True)))
        return row < edge if descending else row > edge


def _travel(query: PageQuery) -> Travel:
    return Travel.FORWARD if query.position is None else query.position.travel

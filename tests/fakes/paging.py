"""Pages of a list that is all in memory, by the definition rather than by a query."""

from collections.abc import Callable, Iterable, Sequence
from functools import cmp_to_key
from typing import Any, Generic, TypeVar

import msgspec

from domain.errors import InvalidCursor
from domain.filters import Field, ListShape, OrderKey, Value
from domain.pagination import Page, PageQuery, Position, Travel
from tests.fakes.filters import truth

T = TypeVar("T")


class MemoryList(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`value_of` an item is what it has in a field of the list."""

    shape: ListShape
    value_of: Callable[[T, Field], Value]

    def page(self, items: Iterable[T], query: PageQuery) -> Page[T]:
        order = query.order or self.shape.default_order
        ordered = self.ordered([item for item in items if self._passes(item, query)], order)
        page = self._cut(ordered, query, order)
        return msgspec.structs.replace(page, count=len(ordered)) if query.counted else page

    def ordered(self, items: Sequence[T], order: Sequence[OrderKey]) -> list[T]:
        def compared(left: tuple[Value, ...], right: tuple[Value, ...]) -> int:
            return _compared(order, left, right)

        ranks = {id(item): cmp_to_key(compared)(self._keys(item, order)) for item in items}
        return sorted(items, key=lambda item: ranks[id(item)])

    def _cut(self, ordered: Sequence[T], query: PageQuery, order: Sequence[OrderKey]) -> Page[T]:
        limit, position = query.limit, query.position
        if position is None:
            further = self._beside(order, ordered[limit - 1], Travel.FORWARD) if len(ordered) > limit else None
            return Page(items=tuple(ordered[:limit]), next=further)
        before, after = self._split(ordered, position, order)
        if position.travel is Travel.FORWARD:
            further = self._beside(order, after[limit - 1], Travel.FORWARD) if len(after) > limit else None
            back = self._beside(order, after[0], Travel.BACKWARD) if after else position.turned
            return Page(items=tuple(after[:limit]), next=further, previous=back)
        further = self._beside(order, before[-limit], Travel.BACKWARD) if len(before) > limit else None
        back = self._beside(order, before[-1], Travel.FORWARD) if before else position.turned
        return Page(items=tuple(before[-limit:]), next=back, previous=further)

    def _split(
        self, ordered: Sequence[T], position: Position, order: Sequence[OrderKey]
    ) -> tuple[Sequence[T], Sequence[T]]:
        if not position.fits(order):
            raise InvalidCursor
        places = [(_compared(order, self._keys(item, order), position.keys), item) for item in ordered]
        here = [item for place, item in places if place == 0] if position.including else []
        before, after = ([item for place, item in places if place * side > 0] for side in (-1, 1))
        return [*before, *here], [*here, *after]

    def _beside(self, order: Sequence[OrderKey], item: T, travel: Travel) -> Position:
        return Position(keys=self._keys(item, order), travel=travel)

    def _passes(self, item: T, query: PageQuery) -> bool:
        return query.filter is None or truth(query.filter, lambda field: self.value_of(item, field)) is True

    def _keys(self, item: T, order: Sequence[OrderKey]) -> tuple[Value, ...]:
        return tuple(self.value_of(item, key.field) for key in order)


def _compared(order: Sequence[OrderKey], left: Sequence[Value], right: Sequence[Value]) -> int:
    """Below zero when `left` comes first."""
    for key, one, other in zip(order, left, right, strict=True):
        if one != other:
            comes_first = _rank(one) < _rank(other)
            return -1 if comes_first is not key.descending else 1
    return 0


def _rank(value: Value) -> tuple[bool, Any]:
    return value is not None, value

"""Pages of a list that is all in memory, by the definition rather than by a query."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from domain.errors import InvalidCursor
from domain.pagination import Page, PageQuery, Position, Travel

T = TypeVar("T")


class ListOrder(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """`parse` brings keys into a form that compares, and raises ValueError for keys of another list."""

    keys_of: Callable[[T], tuple[str, ...]]
    parse: Callable[[tuple[str, ...]], tuple[Any, ...]]
    descending: bool

    def page(self, items: Iterable[T], query: PageQuery) -> Page[T]:
        ordered = sorted(items, key=self._rank, reverse=self.descending)
        if query.position is None:
            return Page(items=tuple(ordered[: query.limit]), next=self._next(ordered, query))
        before, after = self._split(ordered, query.position)
        if query.position.travel is Travel.FORWARD:
            shown = tuple(after[: query.limit])
            previous = Position(keys=self._edge(shown[:1], query.position), travel=Travel.BACKWARD)
            return Page(items=shown, next=self._next(after, query), previous=previous)
        shown = tuple(before[-query.limit :])
        onwards = Position(keys=self._edge(shown[-1:], query.position), travel=Travel.FORWARD)
        return Page(items=shown, next=onwards, previous=self._previous(before, query))

    def _next(self, rest: Sequence[T], query: PageQuery) -> Position | None:
        if len(rest) <= query.limit:
            return None
        return Position(keys=self.keys_of(rest[query.limit - 1]), travel=Travel.FORWARD)

    def _previous(self, rest: Sequence[T], query: PageQuery) -> Position | None:
        if len(rest) <= query.limit:
            return None
        return Position(keys=self.keys_of(rest[-query.limit]), travel=Travel.BACKWARD)

    def _edge(self, edge: Sequence[T], position: Position) -> tuple[str, ...]:
        return self.keys_of(edge[0]) if edge else position.keys

    def _split(self, ordered: Sequence[T], position: Position) -> tuple[Sequence[T], Sequence[T]]:
        try:
            here = self.parse(position.keys)
        except ValueError:
            raise InvalidCursor from None
        smaller = [item for item in ordered if self._rank(item) < here]
        larger = [item for item in ordered if self._rank(item) > here]
        return (larger, smaller) if self.descending else (smaller, larger)

    def _rank(self, item: T) -> tuple[Any, ...]:
        return self.parse(self.keys_of(item))

"""Pages over a total order: a position is the key of an edge row, never an offset."""

from collections.abc import Sequence
from enum import Enum
from typing import Generic, TypeVar

import msgspec

from domain.filters import Filter, OrderKey, Value

T = TypeVar("T")


class Travel(Enum):
    FORWARD = "f"
    BACKWARD = "b"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Just beyond the row with these order keys, seen in the direction of travel; `including` it: just before."""

    keys: tuple[Value, ...]
    travel: Travel
    including: bool = False

    @property
    def turned(self) -> "Position":
        """The same place, seen the other way: all that lay behind lies ahead, and no row is lost between."""
        travel = Travel.BACKWARD if self.travel is Travel.FORWARD else Travel.FORWARD
        return Position(keys=self.keys, travel=travel, including=not self.including)

    def fits(self, order: Sequence[OrderKey]) -> bool:
        """Whether a row of a list in that order could have these keys."""
        pairs = zip(order, self.keys, strict=False)
        return len(order) == len(self.keys) and all(key.field.admits(value) for key, value in pairs)


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    """`order` is total; without it the list has its own. `members` are those of the items that will be looked at, None
    for all of them: the others may hold anything. `counted`: how many rows the filter lets through, pages aside.
    """

    limit: int
    order: tuple[OrderKey, ...] = ()
    filter: Filter | None = None
    position: Position | None = None
    members: frozenset[str] | None = None
    counted: bool = False


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Items in list order whatever the direction of travel; None where nothing lies beyond that edge.

    `count` is there when the query asked for it.
    """

    items: tuple[T, ...]
    next: Position | None = None
    previous: Position | None = None
    count: int | None = None

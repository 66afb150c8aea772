"""Pages over a total order: a position is the key of an edge row, never an offset."""

from enum import Enum
from typing import Generic, TypeVar

import msgspec

T = TypeVar("T")


class Travel(Enum):
    FORWARD = "f"
    BACKWARD = "b"


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """Just beyond the row with these order keys, seen in the direction of travel. Keys are JSON scalars as text."""

    keys: tuple[str, ...]
    travel: Travel


class PageQuery(msgspec.Struct, frozen=True, kw_only=True):
    limit: int
    position: Position | None = None


class Page(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """Items in list order whatever the direction of travel; None where nothing lies beyond that edge."""

    items: tuple[T, ...]
    next: Position | None = None
    previous: Position | None = None

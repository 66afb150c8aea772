"""The envelope of a page on the wire (api.md 2.6)."""

from typing import Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

ItemT = TypeVar("ItemT")


class PageInfo(msgspec.Struct, frozen=True, kw_only=True):
    next_cursor: str | None
    prev_cursor: str | None
    limit: int


class PageOut(msgspec.Struct, Generic[ItemT], frozen=True, kw_only=True):
    """`count` is there when it was asked for."""

    items: tuple[ItemT, ...]
    page_info: PageInfo
    count: int | UnsetType = UNSET

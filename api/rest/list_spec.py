"""What a list declares about itself; listing.py does the rest, and the OpenAPI document tells it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from domain.filters import ListShape

OwnT = TypeVar("OwnT")


class OwnOption(msgspec.Struct, frozen=True, kw_only=True):
    """An option that not every list has. `schema` is that of its value in the OpenAPI document.

    `picks_rows`: it decides which rows there are, so a cursor holds for one value of it alone.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    picks_rows: bool = False


class OwnOptions(msgspec.Struct, Generic[OwnT], frozen=True, kw_only=True):
    """`read` is given the text of those that were sent, by name; it raises InvalidRequest for a value it cannot use."""

    options: tuple[OwnOption, ...]
    read: Callable[[Mapping[str, str]], OwnT]

    def picking_rows(self, sent: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
        return tuple((each.name, sent[each.name]) for each in self.options if each.picks_rows and each.name in sent)


NO_OWN_OPTIONS: Final = OwnOptions[None](options=(), read=lambda _: None)


class ListSpec(msgspec.Struct, Generic[OwnT], frozen=True, kw_only=True):
    """`resource` names the list in its cursors and `item` is the wire struct of what it lists."""

    resource: str
    shape: ListShape
    item: type[msgspec.Struct]
    own: OwnOptions[OwnT]

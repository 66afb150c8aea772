"""What a list declares about itself; listing.py does the rest, and the OpenAPI document tells it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from domain.filters import ListShape

OwnT = TypeVar("OwnT")


class OwnOption(msgspec.Struct, frozen=True, kw_only=True):
    """An option that not every list has. `schema` is that of its value in the OpenAPI document.

    `picks_rows`: it decides which rows there are, so a cursor holds for one value of it alone.
    `required`: refused without it.
    """

    name: str
    description: str
    schema: Mapping[str, Any]
    picks_rows: bool = False
    required: bool = False


class OwnOptions(msgspec.Struct, Generic[OwnT], frozen=True, kw_only=True):
    """`read` is given the text of those that were sent, by name; it raises InvalidRequest for a value it cannot use."""

    options: tuple[OwnOption, ...]
    read: Callable[[Mapping[str, str]], OwnT]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(option.name for option in self.options)

    def picking_rows(self, sent: Mapping[str, str]) -> dict[str, str]:
        return {option.name: sent[option.name] for option in self.options if option.picks_rows and option.name in sent}


NO_OWN_OPTIONS: Final = OwnOptions[None](options=(), read=lambda _: None)


class ListSpec(msgspec.Struct, Generic[OwnT], frozen=True, kw_only=True):
    """`resource` names the list in its cursors; `item` is the wire struct of what it lists, `always` selected.

    `sources` names the member a wire member is made from, where their names differ.
    """

    resource: str
    shape: ListShape
    item: type[msgspec.Struct]
    own: OwnOptions[OwnT]
    always: str = "id"
    sources: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])

    @property
    def members(self) -> frozenset[str]:
        """What may be selected."""
        return frozenset(self.item.__struct_fields__)

    def read_for(self, selected: frozenset[str]) -> frozenset[str]:
        """The members of what is listed that the selected ones are made from."""
        return frozenset(self.sources.get(name, name) for name in selected)

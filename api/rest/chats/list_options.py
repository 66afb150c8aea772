"""The options that only the list of chats has (api.md 3.3)."""

from collections.abc import Mapping
from datetime import tzinfo
from typing import Final

import msgspec

from api.rest.chats.time_zones import zone_named
from api.rest.list_spec import OwnOption, OwnOptions
from domain.errors import InvalidRequest

_PREVIEW: Final = "preview"
_GROUPS: Final = "groups"
_INCLUDABLE: Final = frozenset({_PREVIEW, _GROUPS})


class ChatListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """`zone` decides which day it is for the groups."""

    preview: bool
    groups: bool
    zone: tzinfo
    deleted: bool


def _read(options: Mapping[str, str]) -> ChatListOptions:
    included = _included(options.get("include"))
    return ChatListOptions(
        preview=_PREVIEW in included,
        groups=_GROUPS in included,
        zone=zone_named(options.get("tz", "UTC")),
        deleted=_only(options.get("deleted")),
    )


def _included(text: str | None) -> frozenset[str]:
    names = [] if text is None else text.split(",")
    if not _INCLUDABLE.issuperset(names):
        raise InvalidRequest.of("include", "This can be preview, groups or both.", "invalid_value")
    if len(names) != len(set(names)):
        raise InvalidRequest.of("include", "A name stands here twice.", "duplicate")
    return frozenset(names)


def _only(text: str | None) -> bool:
    if text not in {None, "only"}:
        raise InvalidRequest.of("deleted", "This can only be `only`.", "invalid_value")
    return text is not None


CHAT_LIST_OPTIONS: Final = OwnOptions(
    options=(
        OwnOption(
            name="include",
            description="`preview` adds `last_message_preview` to each chat, `groups` adds `groups` to the page; "
            "both between a comma.",
            schema={"type": "string", "enum": ["preview", "groups", "preview,groups", "groups,preview"]},
        ),
        OwnOption(
            name="tz",
            description="IANA name of the time zone whose days the groups follow.",
            schema={"type": "string", "default": "UTC"},
        ),
        OwnOption(
            name="deleted",
            description="`only` lists the deleted chats that can be restored, instead of the live ones.",
            schema={"type": "string", "enum": ["only"]},
            picks_rows=True,
        ),
    ),
    read=_read,
)

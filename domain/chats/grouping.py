"""The chats of a page by the calendar of the person who looks at them (api.md 3.3)."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Final

import msgspec

from domain.chats.models import Chat
from domain.ids import ChatId


class GroupKey(StrEnum):
    """In the order in which groups are shown."""

    FAVORITES = "favorites"
    TODAY = "today"
    YESTERDAY = "yesterday"
    LAST_7_DAYS = "last_7_days"
    LAST_30_DAYS = "last_30_days"
    OLDER = "older"


class ChatGroup(msgspec.Struct, frozen=True, kw_only=True):
    """`ids` in the order of the page; `date` is the local day of a group that is a single day."""

    key: GroupKey
    date: date | None
    ids: tuple[ChatId, ...]


_MOST_DAYS_AGO: Final = (
    (GroupKey.TODAY, 0),
    (GroupKey.YESTERDAY, 1),
    (GroupKey.LAST_7_DAYS, 6),
    (GroupKey.LAST_30_DAYS, 29),
)
_SINGLE_DAYS: Final = {GroupKey.TODAY: timedelta(0), GroupKey.YESTERDAY: timedelta(days=1)}


def grouped(chats: Iterable[Chat], now: datetime, zone: tzinfo) -> tuple[ChatGroup, ...]:
    """Each chat is in exactly one group, and no group is empty."""
    today = now.astimezone(zone).date()
    members: dict[GroupKey, list[ChatId]] = {key: [] for key in GroupKey}
    for chat in chats:
        members[_group_of(chat, today, zone)].append(chat.id)
    return tuple(
        ChatGroup(key=key, date=today - _SINGLE_DAYS[key] if key in _SINGLE_DAYS else None, ids=tuple(ids))
        for key, ids in members.items()
        if ids
    )


def _group_of(chat: Chat, today: date, zone: tzinfo) -> GroupKey:
    """By dates, not by hours: days have 23 to 25 of them. The database's clock may be ahead: its tomorrow is today."""
    if chat.is_favorite:
        return GroupKey.FAVORITES
    days_ago = (today - chat.updated_at.astimezone(zone).date()).days
    return next((key for key, most in _MOST_DAYS_AGO if days_ago <= most), GroupKey.OLDER)

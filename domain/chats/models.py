"""A chat: an ordered list of messages that belongs to one user, with a model that never changes."""

from datetime import datetime
from typing import Final

import msgspec

from domain.ids import ChatId, OwnerId, TurnId, UserId

PREVIEW_CHARACTERS: Final = 160


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """`message_count` counts live messages of all roles; `updated_at` is the time of last activity.

    `last_message_preview` is there when a list was asked for it and the chat has a live message.
    """

    id: ChatId
    user_id: UserId
    model: str
    title: str | None
    is_temporary: bool
    is_favorite: bool
    metadata: dict[str, str]
    message_count: int
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    last_message_preview: str | None = None


class NewChat(msgspec.Struct, frozen=True, kw_only=True):
    """What a user chooses when creating a chat; `title` is trimmed, `model` resolved and enabled.

    `first_line` is what the chat is called where the user has given no title.
    """

    model: str
    title: str | None = None
    first_line: str | None = None
    is_temporary: bool = False
    metadata: dict[str, str] = msgspec.field(default_factory=dict)


class ChatChange(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a chat; None leaves a member as it is, and one at least is given. `metadata` replaces the old."""

    title: str | None = None
    is_favorite: bool | None = None
    metadata: dict[str, str] | None = None


class RunningTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn, and the process that drives it."""

    turn_id: TurnId
    owner_id: OwnerId | None
    owner_epoch: int


class Deletion(msgspec.Struct, frozen=True, kw_only=True):
    """What a soft delete found; a turn that was running has been flagged for cancellation."""

    running_turn: RunningTurn | None

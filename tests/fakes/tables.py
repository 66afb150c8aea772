"""What the store in memory keeps of one tenant, row by row."""

from collections.abc import Hashable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from domain.audit.events import NewEvent
from domain.chats.models import Chat
from domain.ids import ChatId, EventId, MessageId, TurnId, UserId
from domain.messages.models import Message
from domain.scope import AccessScope
from domain.turns.models import TurnStatus
from domain.unit_of_work import LostRace, ReadOnly

K = TypeVar("K", bound=Hashable)
R = TypeVar("R")


class ChatRecord(msgspec.Struct, frozen=True, kw_only=True):
    """`chat.message_count` means nothing here; it is counted when the chat is read."""

    chat: Chat
    last_seq: int = 0
    revision: int = 0
    deleted_at: datetime | None = None


class MessageRecord(msgspec.Struct, frozen=True, kw_only=True):
    chat_id: ChatId
    turn_id: TurnId
    message: Message
    deleted_at: datetime | None = None


class TurnRecord(msgspec.Struct, frozen=True, kw_only=True):
    user_id: UserId
    user_seq: int
    status: TurnStatus
    web_search: bool = False
    cancel_requested_at: datetime | None = None
    cancel_reason: str | None = None
    output_tokens: int = 0
    upstream_closed_ms: int | None = None


class Tables(msgspec.Struct, kw_only=True):
    chats: dict[ChatId, ChatRecord] = msgspec.field(default_factory=dict)
    messages: dict[MessageId, MessageRecord] = msgspec.field(default_factory=dict)
    turns: dict[TurnId, TurnRecord] = msgspec.field(default_factory=dict)
    events: dict[EventId, NewEvent] = msgspec.field(default_factory=dict)

    def copy(self) -> "Tables":
        return Tables(
            chats=dict(self.chats), messages=dict(self.messages), turns=dict(self.turns), events=dict(self.events)
        )


class View(msgspec.Struct, frozen=True, kw_only=True):
    """The tables as one transaction sees them: `now` stands still in it, and READ may not change anything."""

    scope: AccessScope
    tables: Tables
    now: datetime
    writable: bool

    def insert(self, table: dict[K, R], key: K, record: R, constraint: str) -> None:
        """Raises LostRace when the key is taken."""
        self.require_write()
        if key in table:
            raise LostRace(constraint)
        table[key] = record

    def replace(self, table: dict[K, R], key: K, record: R) -> None:
        self.require_write()
        table[key] = record

    def require_write(self) -> None:
        if not self.writable:
            raise ReadOnly

    def turns_of(self, chat_id: ChatId) -> list[TurnRecord]:
        return [turn for turn in self.tables.turns.values() if turn.status.chat_id == chat_id]

    def live_chat(self, chat_id: ChatId) -> ChatRecord | None:
        record = self.tables.chats.get(chat_id)
        return record if record is not None and self.owns(record) else None

    def owns(self, record: ChatRecord) -> bool:
        return record.chat.user_id == self.scope.user_id and record.deleted_at is None

    def restorable_chat(self, chat_id: ChatId, window: timedelta) -> ChatRecord | None:
        record = self.tables.chats.get(chat_id)
        return record if record is not None and self.can_restore(record, window) else None

    def can_restore(self, record: ChatRecord, window: timedelta) -> bool:
        gone, chat = record.deleted_at, record.chat
        in_time = gone is not None and bool(window) and gone > self.now - window
        return in_time and chat.user_id == self.scope.user_id and not chat.is_temporary

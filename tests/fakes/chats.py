"""The port Chats over tables in memory."""

from datetime import timedelta
from typing import Final

from anyio.lowlevel import checkpoint
from msgspec.structs import asdict, replace

from domain.chats.listing import CHAT_LIST
from domain.chats.models import PREVIEW_CHARACTERS, Chat, ChatChange, Deletion, NewChat, RunningTurn
from domain.ids import ChatId
from domain.messages.models import Message
from domain.pagination import Page, PageQuery
from domain.scope import AccessScope
from domain.turns.models import TurnState
from tests.fakes.paging import MemoryList
from tests.fakes.tables import ChatRecord, View

_LIST: Final = MemoryList[Chat](shape=CHAT_LIST, value_of=lambda chat, field: getattr(chat, field.name))


async def stop_nothing(_: AccessScope, __: RunningTurn) -> None:
    """Fills the port StopTurn where no turn runs."""


class MemoryChats:
    def __init__(self, view: View) -> None:
        self._view = view

    async def add(self, chat_id: ChatId, chat: NewChat) -> Chat:
        await checkpoint()
        added = Chat(
            id=chat_id,
            user_id=self._view.scope.user_id,
            model=chat.model,
            title=chat.title,
            is_temporary=chat.is_temporary,
            is_favorite=False,
            metadata=dict(chat.metadata),
            message_count=0,
            created_at=self._view.now,
            updated_at=self._view.now,
        )
        self._view.insert(self._view.tables.chats, chat_id, ChatRecord(chat=added), "chats_pkey")
        return added

    async def get(self, chat_id: ChatId) -> Chat | None:
        await checkpoint()
        record = self._view.live_chat(chat_id)
        return None if record is None else self._counted(record.chat)

    async def page(self, query: PageQuery, *, preview: bool = False) -> Page[Chat]:
        await checkpoint()
        live = [record for record in self._view.tables.chats.values() if self._view.owns(record)]
        return _LIST.page([self._shown(record, preview=preview) for record in live], query)

    async def restorable_page(self, query: PageQuery, window: timedelta, *, preview: bool = False) -> Page[Chat]:
        await checkpoint()
        gone = [record for record in self._view.tables.chats.values() if self._view.can_restore(record, window)]
        return _LIST.page([self._shown(record, preview=preview) for record in gone], query)

    async def lock(self, chat_id: ChatId) -> Chat | None:
        self._view.require_write()
        return await self.get(chat_id)

    async def change(self, chat_id: ChatId, change: ChatChange) -> Chat | None:
        await checkpoint()
        self._view.require_write()
        record = self._view.live_chat(chat_id)
        if record is None:
            return None
        members = {name: value for name, value in asdict(change).items() if value is not None}
        active = {"updated_at": self._view.now} if "title" in members else {}
        changed = replace(record.chat, **members, **active)
        self._view.replace(self._view.tables.chats, chat_id, replace(record, chat=changed))
        return self._counted(changed)

    async def soft_delete(self, chat_id: ChatId) -> Deletion | None:
        await checkpoint()
        self._view.require_write()
        record = self._view.live_chat(chat_id)
        if record is None:
            return None
        self._view.replace(self._view.tables.chats, chat_id, replace(record, deleted_at=self._view.now))
        return Deletion(running_turn=self._flag_running_turn(chat_id))

    async def restore(self, chat_id: ChatId, window: timedelta) -> Chat | None:
        await checkpoint()
        self._view.require_write()
        record = self._view.restorable_chat(chat_id, window)
        if record is None:
            return None
        self._view.replace(self._view.tables.chats, chat_id, replace(record, deleted_at=None))
        return await self.get(chat_id)

    def _flag_running_turn(self, chat_id: ChatId) -> RunningTurn | None:
        for turn in self._view.tables.turns.values():
            if turn.status.chat_id == chat_id and turn.status.state is TurnState.RUNNING:
                flagged = replace(
                    turn,
                    cancel_requested_at=turn.cancel_requested_at or self._view.now,
                    cancel_reason=turn.cancel_reason or "chat_deleted",
                )
                self._view.replace(self._view.tables.turns, turn.status.id, flagged)
                status = turn.status
                return RunningTurn(turn_id=status.id, owner_id=status.owner_id, owner_epoch=status.owner_epoch)
        return None

    def _shown(self, record: ChatRecord, *, preview: bool) -> Chat:
        shown = replace(self._counted(record.chat), deleted_at=record.deleted_at)
        newest = max(self._live_messages(shown.id), key=lambda message: message.seq, default=None)
        if newest is None or not preview:
            return shown
        return replace(shown, last_message_preview=newest.content[:PREVIEW_CHARACTERS])

    def _counted(self, chat: Chat) -> Chat:
        return replace(chat, message_count=len(self._live_messages(chat.id)))

    def _live_messages(self, chat_id: ChatId) -> list[Message]:
        records = self._view.tables.messages.values()
        return [record.message for record in records if record.chat_id == chat_id and record.deleted_at is None]

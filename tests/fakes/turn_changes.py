"""The port Changes over tables in memory."""

from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from domain.ids import ChatId, TurnId
from domain.messages.models import Message, Role
from domain.turns.models import TurnName, TurnState
from domain.turns.mutations import Aim, Target
from tests.fakes.tables import TurnRecord, View
from tests.fakes.turn_statuses import newest_live, turn_named


class MemoryChanges:
    def __init__(self, view: View) -> None:
        self._view = view

    async def aim(self, chat_id: ChatId, name: TurnName) -> Aim | None:
        await checkpoint()
        chat = self._view.live_chat(chat_id)
        if chat is None:
            return None
        found = turn_named(self._view.turns_of(chat_id), name)
        return Aim(target=None if found is None else self._target(found, chat.revision))

    async def remove(self, chat_id: ChatId, revision: int, turn_id: TurnId) -> bool:
        await checkpoint()
        self._view.require_write()
        chat, turn = self._view.live_chat(chat_id), self._view.tables.turns.get(turn_id)
        if chat is None or chat.revision != revision or turn is None or not _may_go(turn, chat_id):
            return False
        active = replace(chat.chat, updated_at=self._view.now)
        self._view.replace(self._view.tables.chats, chat_id, replace(chat, chat=active, revision=revision + 1))
        gone = replace(turn.status, deleted_at=self._view.now, updated_at=self._view.now)
        self._view.replace(self._view.tables.turns, turn_id, replace(turn, status=gone))
        self._hide_messages(turn_id)
        return True

    def _hide_messages(self, turn_id: TurnId) -> None:
        messages = self._view.tables.messages
        for message_id, record in list(messages.items()):
            if record.turn_id == turn_id and record.deleted_at is None:
                self._view.replace(messages, message_id, replace(record, deleted_at=self._view.now))

    def _asked(self, turn_id: TurnId) -> Message:
        said = (record for record in self._view.tables.messages.values() if record.turn_id == turn_id)
        return next(record.message for record in said if record.message.role is Role.USER)

    def _target(self, turn: TurnRecord, revision: int) -> Target:
        asked = self._asked(turn.status.id)
        return Target(
            revision=revision,
            turn_id=turn.status.id,
            request_id=turn.status.request_id,
            state=turn.status.state,
            is_newest=turn is newest_live(self._view.turns_of(turn.status.chat_id)),
            content=asked.content,
            metadata=asked.metadata,
            web_search=turn.web_search,
        )


def _may_go(turn: TurnRecord, chat_id: ChatId) -> bool:
    status = turn.status
    return status.chat_id == chat_id and status.state is not TurnState.RUNNING and status.deleted_at is None

"""What a user wants of a chat, who listens, and whether he was told what the rows say."""

from typing import Any, Final
from uuid import UUID, uuid4

import anyio
import msgspec
from msgspec.structs import replace

from domain.chats.service import ChatDraft
from domain.ids import ChatId, RequestId
from domain.streaming.events import Delta, Done, Numbered, TurnError
from domain.streaming.ports import OnDisconnect
from domain.turns.models import SendCommand
from domain.turns.mutations import ChangeCommand
from domain.turns.service import Conversation
from tests.harness.engine import a_key
from tests.integration.turns.machine.by_content import Ask
from tests.integration.turns.machine.replica import Replica

REAPED: Final = 2**31 - 1
NOWHERE: Final = ChatId(UUID(int=0))


class Send(msgspec.Struct, frozen=True, kw_only=True):
    """What a user wants, under one key, however often it is sent: to say something, or to have it answered anew."""

    command: SendCommand | ChangeCommand

    @property
    def key(self) -> RequestId:
        assert self.command.request_id is not None
        return self.command.request_id

    def moved_to(self, chat_id: ChatId) -> "Send":
        """A change is made before anybody knows where its turn is."""
        return Send(command=replace(self.command, chat_id=chat_id)) if isinstance(self.command, ChangeCommand) else self

    @property
    def place(self) -> ChatId | ChatDraft:
        return self.command.chat_id if isinstance(self.command, ChangeCommand) else self.command.target


class Listener:
    """Somebody who reads a turn that was started for him."""

    def __init__(self, send: Send, conversation: Conversation, replica: Replica) -> None:
        self.send = send
        self.replica = replica
        self.told: list[Numbered] = []
        self.reader = conversation.reader

    @property
    def text(self) -> str:
        return "".join(event.content for _, event in self.told if isinstance(event, Delta))

    async def listen(self) -> None:
        with anyio.move_on_after(0.02):
            while not self.reader.ended:
                self.told += await self.reader.receive()


def a_send(target: ChatId | ChatDraft, ask: Ask, on_disconnect: OnDisconnect) -> Send:
    command = SendCommand(target=target, content=f"{ask} {uuid4()}", request_id=a_key(), on_disconnect=on_disconnect)
    return Send(command=command)


def a_change(send: Send, ask: Ask | None) -> Send:
    """Of the turn that was sent, in a chat that only its row may know."""
    content = None if ask is None else f"{ask} {uuid4()}"
    return Send(command=ChangeCommand(chat_id=NOWHERE, turn=send.key, content=content, request_id=a_key()))


def is_new(outcome: object) -> bool:
    return isinstance(outcome, Conversation) and outcome.is_new_turn


def contradicts(listener: Listener, turn: Any) -> str | None:
    """How what was told differs from the row, which was there before the terminal event."""
    last = listener.told[-1][1] if listener.told else None
    stored = turn["answered"] or ""
    if isinstance(last, Done):
        agrees = turn["state"] == "completed" and (stored, turn["finish_reason"]) == (listener.text, last.finish_reason)
        return None if agrees else "told done"
    if not isinstance(last, TurnError):
        return None
    if last.code == "internal_error" and last.retry_after_ms is not None:
        return "told that the end is to come" if turn["state"] == "completed" else None
    code = turn["error_code"] if turn["state"] == "failed" else "turn_" + turn["state"]
    if code != last.code:
        return "told another code"
    if turn["last_event_id"] == REAPED:
        return None if listener.text.startswith(stored) else "stored what was never told"
    kept = {listener.text, ""} if turn["cancel_reason"] == "chat_deleted" else {listener.text}
    return None if stored in kept else "told another text"

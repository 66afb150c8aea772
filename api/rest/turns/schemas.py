"""What sends and changes carry, and what the unary form answers with (api.md 3.2, 3.4, 3.5)."""

from typing import Self
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from typing_extensions import override

from api.rest.chats.schemas import Metadata, NewChatIn
from api.rest.messages.schemas import MessageOut
from api.rest.wire_types import Id, given
from domain.chats.service import ChatDraft
from domain.errors import InvalidRequest
from domain.ids import ChatId, RequestId
from domain.streaming.events import QuotaWarning, Timing, TokenUsage
from domain.streaming.ports import OnDisconnect
from domain.turns.models import SendCommand, TurnName
from domain.turns.mutations import ChangeCommand
from domain.turns.replay import done_of
from domain.turns.service import UnaryAnswer


class WebSearchIn(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool


class GenerationIn(msgspec.Struct, frozen=True, kw_only=True):
    """What every call may carry that asks for an answer."""

    request_id: UUID | UnsetType = UNSET
    web_search: WebSearchIn | UnsetType = UNSET
    on_disconnect: OnDisconnect = OnDisconnect.CANCEL

    def _key(self, idempotency_key: UUID | None) -> RequestId | None:
        named = {key for key in (self.request_id, idempotency_key) if isinstance(key, UUID)}
        if len(named) > 1:
            raise InvalidRequest.of("Idempotency-Key", "This differs from request_id.", "invalid_value")
        return RequestId(named.pop()) if named else None


class SendIn(GenerationIn, frozen=True, kw_only=True):
    content: str
    attachment_ids: tuple[UUID, ...] = ()
    metadata: Metadata | UnsetType = UNSET

    def command(self, target: ChatId | ChatDraft, idempotency_key: UUID | None) -> SendCommand:
        """Raises InvalidRequest for a blank message, and for a header and a body that name different keys."""
        return SendCommand(
            target=target,
            content=_not_blank(self.content),
            request_id=self._key(idempotency_key),
            attachment_ids=tuple(str(each) for each in self.attachment_ids),
            web_search=self.web_search is not UNSET and self.web_search.enabled,
            on_disconnect=self.on_disconnect,
            metadata=given(self.metadata),
        )


class RetryIn(GenerationIn, frozen=True, kw_only=True):
    def command(self, chat_id: ChatId, turn: TurnName, idempotency_key: UUID | None) -> ChangeCommand:
        """Raises InvalidRequest for a header and a body that name different keys."""
        return ChangeCommand(
            chat_id=chat_id,
            turn=turn,
            request_id=self._key(idempotency_key),
            web_search=None if self.web_search is UNSET else self.web_search.enabled,
            on_disconnect=self.on_disconnect,
        )


class EditIn(RetryIn, frozen=True, kw_only=True):
    content: str

    @override
    def command(self, chat_id: ChatId, turn: TurnName, idempotency_key: UUID | None) -> ChangeCommand:
        """Raises InvalidRequest for a blank message as well."""
        content = _not_blank(self.content)
        return replace(super().command(chat_id, turn, idempotency_key), content=content)


class NewChatSendIn(SendIn, frozen=True, kw_only=True):
    """`metadata` stays that of the message."""

    title: str | None = None
    model: str | UnsetType = UNSET
    is_temporary: bool = False

    def draft(self) -> ChatDraft:
        """Raises InvalidRequest for a blank or over-long title."""
        return NewChatIn(title=self.title, model=self.model, is_temporary=self.is_temporary).draft()


class MessageResultOut(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The stored answer, with what `done` says on a stream."""

    chat_id: Id
    request_id: Id
    is_new_turn: bool
    user_message_id: Id
    message: MessageOut
    usage: TokenUsage
    effective_model: str
    selected_model: str
    quota_decision: str
    downgrade_from: str | None = None
    downgrade_reason: str | None = None
    quota_warnings: tuple[QuotaWarning, ...]
    finish_reason: str
    timing: Timing

    @classmethod
    def of(cls, unary: UnaryAnswer) -> Self:
        answer, done = unary.answer, done_of(unary.answer)
        return cls(
            chat_id=str(answer.chat_id),
            request_id=str(answer.request_id),
            is_new_turn=unary.is_new_turn,
            user_message_id=str(answer.user_message_id),
            message=MessageOut.of(answer.message),
            usage=done.usage,
            effective_model=done.effective_model,
            selected_model=done.selected_model,
            quota_decision=done.quota_decision,
            downgrade_from=done.downgrade_from,
            downgrade_reason=done.downgrade_reason,
            quota_warnings=unary.quota_warnings,
            finish_reason=done.finish_reason,
            timing=done.timing,
        )


def _not_blank(content: str) -> str:
    if not content.strip():
        raise InvalidRequest.of("content", "This must not be blank.", "blank")
    return content

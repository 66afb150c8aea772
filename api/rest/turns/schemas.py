"""What a send carries and what the unary form answers with (api.md 3.2, 3.4)."""

from typing import Self
from uuid import UUID

import msgspec
from msgspec import UNSET, UnsetType

from api.rest.chats.schemas import Metadata, NewChatIn
from api.rest.messages.schemas import MessageOut
from api.rest.wire_types import Id
from domain.chats.service import ChatDraft
from domain.errors import InvalidRequest
from domain.ids import ChatId, RequestId
from domain.streaming.events import Timing, TokenUsage
from domain.streaming.ports import OnDisconnect
from domain.turns.models import SendCommand
from domain.turns.replay import done_of
from domain.turns.service import UnaryAnswer


class WebSearchIn(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool


class SendIn(msgspec.Struct, frozen=True, kw_only=True):
    content: str
    request_id: UUID | UnsetType = UNSET
    attachment_ids: tuple[UUID, ...] = ()
    web_search: WebSearchIn | UnsetType = UNSET
    on_disconnect: OnDisconnect = OnDisconnect.CANCEL
    metadata: Metadata | UnsetType = UNSET

    def command(self, target: ChatId | ChatDraft, idempotency_key: UUID | None) -> SendCommand:
        """Raises InvalidRequest for a blank message, and for a header and a body that name different keys."""
        if not self.content.strip():
            raise InvalidRequest.of("content", "This must not be blank.", "blank")
        return SendCommand(
            target=target,
            content=self.content,
            request_id=self._key(idempotency_key),
            attachment_ids=tuple(str(each) for each in self.attachment_ids),
            web_search=self.web_search is not UNSET and self.web_search.enabled,
            on_disconnect=self.on_disconnect,
            metadata=None if self.metadata is UNSET else self.metadata,
        )

    def _key(self, idempotency_key: UUID | None) -> RequestId | None:
        named = {key for key in (self.request_id, idempotency_key) if isinstance(key, UUID)}
        if len(named) > 1:
            raise InvalidRequest.of("Idempotency-Key", "This differs from request_id.", "invalid_value")
        return RequestId(named.pop()) if named else None


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
    quota_warnings: tuple[()]
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
            quota_warnings=done.quota_warnings,
            finish_reason=done.finish_reason,
            timing=done.timing,
        )

"""A turn: one user message and the attempt to answer it, named inside its chat by the client's request_id."""

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

from domain.chats.service import ChatDraft
from domain.ids import ChatId, MessageId, OwnerId, RequestId, TurnId
from domain.messages.models import Message
from domain.providers.events import Citation, Finish
from domain.quotas.models import Hold, Standing, UsageSource
from domain.quotas.settlement import BillingOutcome, Settlement
from domain.scope import AccessScope
from domain.streaming.ports import OnDisconnect, TurnBrief
from domain.tools.calls import NO_CALLS, ToolCalls


class TurnState(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


PUBLIC_STATES: dict[TurnState, str] = {
    TurnState.RUNNING: "running",
    TurnState.COMPLETED: "done",
    TurnState.FAILED: "error",
    TurnState.CANCELLED: "cancelled",
}
"""Stored states as clients see them (api.md 3.2)."""


LATEST: Final = "latest"
TurnName: TypeAlias = RequestId | Literal["latest"]
"""How a caller names a turn of a chat: by its key, or as the newest one that is not deleted."""


class TurnKind(StrEnum):
    SEND = "send"
    CREATE_SEND = "create_send"
    RETRY = "retry"
    EDIT = "edit"


class SendCommand(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for. The target is a chat that exists, or a draft of one to be created with the message."""

    target: ChatId | ChatDraft
    content: str
    request_id: RequestId | None = None
    attachment_ids: tuple[str, ...] = ()
    web_search: bool = False
    on_disconnect: OnDisconnect = OnDisconnect.CANCEL
    metadata: dict[str, str] | None = None

    def fingerprint(self) -> bytes:
        """Of what makes two sends under one key the same send (api.md 1.5)."""
        return fingerprint_of(TurnKind.SEND, self.content, self.attachment_ids, self.web_search)


def fingerprint_of(*identity: object) -> bytes:
    """SHA-256 of everything that makes two calls under one key the same call."""
    return hashlib.sha256(msgspec.json.encode(identity)).digest()


class TurnSummary(msgspec.Struct, frozen=True, kw_only=True):
    """Enough of a turn to decide what its request_id answers with."""

    id: TurnId
    chat_id: ChatId
    request_id: RequestId
    state: TurnState
    fingerprint: bytes
    is_deleted: bool


class Gate(msgspec.Struct, frozen=True, kw_only=True):
    """What one read of a chat shows to a send: `revision` proves at the write that nothing has moved since.

    `awaits_title`: no turn has been completed yet, and neither a user nor a model has named it.
    """

    chat_id: ChatId
    model: str
    revision: int
    same_request: TurnSummary | None
    running_request_id: RequestId | None
    standing: Standing
    is_untitled: bool = False
    awaits_title: bool = False


class Founding(msgspec.Struct, frozen=True, kw_only=True):
    """The turn that has created its chat under the same key, and the credits of whoever asks."""

    created: TurnSummary | None
    standing: Standing


class NewTurn(msgspec.Struct, frozen=True, kw_only=True):
    """The rows of a turn at its start: the running turn and its user message."""

    kind: TurnKind
    fingerprint: bytes
    content: str
    metadata: dict[str, str] | None
    web_search: bool
    user_message_id: MessageId
    owner: OwnerId
    brief: TurnBrief
    fallback_model: str | None = None
    plan_tokens: int
    turns_dropped: int


class SavedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of a running answer, kept in case its owner is lost."""

    brief: TurnBrief
    part_no: int
    last_event: int
    body: str


class TurnResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn came to: the columns its terminal row carries.

    `text` None stores no answer message; `total_ms` None is told by the database's own clock; `tool_calls` are those
    that were completed. `retryable` and `retry_after_ms` are those of the `error` that is told. `upstream_closed_ms`
    is how long the provider connection stayed open after the word to stop, None where there was no word or no
    connection. `remote_id` is what the provider calls the answer; no client is told.
    """

    state: TurnState
    finish: Finish | None
    error_code: str | None
    text: str | None
    citations: tuple[Citation, ...]
    usage_source: UsageSource
    input_tokens: int
    output_tokens: int
    settlement: Settlement
    billing_outcome: BillingOutcome
    ttft_ms: int | None
    total_ms: int | None
    last_number: int
    tool_calls: ToolCalls = NO_CALLS
    retryable: bool | None = None
    retry_after_ms: int | None = None
    upstream_closed_ms: int | None = None
    remote_id: str | None = None


class TurnEnding(msgspec.Struct, frozen=True, kw_only=True):
    """How an ended turn reads in the receipt of a cancellation."""

    state: TurnState
    output_tokens: int
    upstream_closed_ms: int | None
    charged_micro: int
    released_micro: int


class TurnIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """Which turn it was, and what it was admitted with: all that does not depend on how it ended.

    `hold` None: the turn was begun by a process that knew no credits.
    """

    turn_id: TurnId
    chat_id: ChatId
    request_id: RequestId
    scope: AccessScope
    trace_id: str
    selected_model: str
    effective_model: str
    provider_id: str
    quota_decision: str
    downgrade_reason: str | None
    hold: Hold | None

    @classmethod
    def of(cls, brief: TurnBrief) -> "TurnIdentity":
        resolution = brief.resolution
        return cls(
            turn_id=brief.turn_id,
            chat_id=brief.chat_id,
            request_id=brief.request_id,
            scope=brief.scope,
            trace_id=brief.trace.trace_id,
            selected_model=resolution.selected_model,
            effective_model=resolution.effective.id,
            provider_id=resolution.effective.provider_id,
            quota_decision=resolution.decision,
            downgrade_reason=resolution.downgrade_reason,
            hold=brief.hold,
        )


class Remains(msgspec.Struct, frozen=True, kw_only=True):
    """What a lost owner leaves: text, and whether a provider may have been called."""

    turn: TurnIdentity
    text: str
    was_called: bool


class Fence(msgspec.Struct, frozen=True, kw_only=True):
    """Who owns a turn right now, and what became of it if it has ended."""

    state: TurnState
    owner_epoch: int
    error_code: str | None = None


class TurnStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A turn as its row tells it, whatever became of it; one that was deleted or replaced keeps what it came to.

    `planned_message_id` is what its stream named; `assistant_message_id` is the same once an answer is stored.
    `last_number` is that of the terminal event.
    """

    id: TurnId
    chat_id: ChatId
    request_id: RequestId
    state: TurnState
    error_code: str | None
    finish: Finish | None
    effective_model: str
    planned_message_id: MessageId
    assistant_message_id: MessageId | None
    owner_id: OwnerId | None
    owner_epoch: int
    trace_id: str
    last_number: int | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None = None
    replaced_by: RequestId | None = None


class TurnLookup(msgspec.Struct, frozen=True, kw_only=True):
    """What a live chat has under a name."""

    turn: TurnStatus | None


class LeasedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """A turn whose owner was lost, now ours under a new epoch."""

    turn_id: TurnId
    chat_id: ChatId
    scope: AccessScope
    owner_epoch: int
    cancel_requested: bool


class StoredAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A completed turn as its rows tell it."""

    request_id: RequestId
    chat_id: ChatId
    user_message_id: MessageId
    message: Message
    selected_model: str
    effective_model: str
    quota_decision: str
    downgrade_reason: str | None
    finish: Finish
    input_tokens: int
    output_tokens: int
    ttft_ms: int | None
    total_ms: int
    last_number: int


class StoredFailure(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept of a turn that failed or was cancelled, beside its status."""

    text: str
    citations: tuple[Citation, ...]
    retryable: bool
    retry_after_ms: int | None
    last_number: int

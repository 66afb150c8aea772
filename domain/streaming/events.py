"""The events of one turn as its readers get them; members stand in wire order (api.md 4.2)."""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from domain.providers.events import Citation


class SummaryApplied(msgspec.Struct, frozen=True):
    """A summary of older messages is part of the context."""

    token_estimate: int


class StreamStarted(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    request_id: str
    message_id: str
    is_new_turn: bool
    thread_summary_applied: SummaryApplied | None = None


class Delta(msgspec.Struct, frozen=True, gc=False):
    type: Literal["text", "reasoning"]
    content: str


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    phase: Literal["start", "done"]
    name: str
    details: dict[str, object]


class Citations(msgspec.Struct, frozen=True):
    """At most one a turn, never empty."""

    items: tuple[Citation, ...]


class TokenUsage(msgspec.Struct, frozen=True, kw_only=True):
    input_tokens: int
    output_tokens: int


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """`ttft_ms` is null when no text came."""

    ttft_ms: int | None
    total_ms: int


class QuotaWarning(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How much is left of one tier in one period; `next_reset` where it is little."""

    tier: str
    period: str
    remaining_percentage: int
    warning: bool
    exhausted: bool
    next_reset: str | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    usage: TokenUsage
    effective_model: str
    selected_model: str
    quota_decision: str
    downgrade_from: str | None = None
    downgrade_reason: str | None = None
    quota_warnings: tuple[QuotaWarning, ...]
    finish_reason: str
    timing: Timing


class TurnError(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    code: str
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    trace_id: str


StreamEvent: TypeAlias = StreamStarted | Delta | Tool | Citations | Done | TurnError

NAMES: Final[Mapping[type[StreamEvent], str]] = {
    StreamStarted: "stream_started",
    Delta: "delta",
    Tool: "tool",
    Citations: "citations",
    Done: "done",
    TurnError: "error",
}
"""Of the events, wherever they are told."""

Numbered: TypeAlias = tuple[int, StreamEvent]
"""An event and its number in the turn, counted from 1."""

FIRST_NUMBER: Final = 1
"""That of `stream_started`, in every turn."""

"""The codes an accepted turn can fail with, and the one fixed sentence each has (api.md 1.7, 4.8)."""

from collections.abc import Mapping
from datetime import timedelta

from domain.errors import DomainError, Kind
from domain.providers.events import ToolName
from domain.streaming.events import TurnError

CALLS_EXCEEDED: Mapping[ToolName, str] = {
    ToolName.WEB_SEARCH: "web_search_calls_exceeded",
    ToolName.CODE_INTERPRETER: "code_interpreter_calls_exceeded",
}
"""How a turn ends whose model calls one of these too often; with another tool its answer ends as `tool_limit`."""

KINDS: Mapping[str, Kind] = {
    "provider_error": Kind.UPSTREAM,
    "stream_interrupted": Kind.UPSTREAM,
    "provider_unavailable": Kind.UNAVAILABLE,
    "provider_timeout": Kind.UPSTREAM_TIMEOUT,
    "turn_timeout": Kind.UPSTREAM_TIMEOUT,
    "rate_limited": Kind.RATE_LIMITED,
    "context_budget_exceeded": Kind.MISMATCH,
    "web_search_calls_exceeded": Kind.INVALID,
    "code_interpreter_calls_exceeded": Kind.INVALID,
    "turn_cancelled": Kind.CONFLICT,
    "generation_disabled": Kind.UNAVAILABLE,
    "server_shutdown": Kind.UNAVAILABLE,
    "orphan_timeout": Kind.INTERNAL,
    "internal_error": Kind.INTERNAL,
}

SENTENCES: Mapping[str, str] = {
    "provider_error": "The model provider could not answer.",
    "stream_interrupted": "The model provider broke off before the end of its answer.",
    "provider_unavailable": "The model provider cannot be reached.",
    "provider_timeout": "The model provider did not answer in time.",
    "turn_timeout": "The answer took longer than the server allows.",
    "rate_limited": "The model provider is limiting requests.",
    "context_budget_exceeded": "The conversation is too long for the model.",
    "web_search_calls_exceeded": "The model searched the web more often than one message allows.",
    "code_interpreter_calls_exceeded": "The model ran code more often than one message allows.",
    "turn_cancelled": "The turn was cancelled.",
    "generation_disabled": "Answers are switched off at the moment.",
    "server_shutdown": "The server shut down before the answer was complete.",
    "orphan_timeout": "The server process that generated the answer was lost.",
    "internal_error": "Something went wrong on our side.",
}


def turn_error(code: str, trace_id: str, *, retryable: bool, retry_after_ms: int | None = None) -> TurnError:
    """The terminal event of a turn that did not complete; an unknown code is our bug and shows as one."""
    known = code if code in SENTENCES else "internal_error"
    return TurnError(
        code=known,
        message=SENTENCES[known],
        retryable=retryable,
        retry_after_ms=retry_after_ms,
        trace_id=trace_id,
    )


class TurnEnded(DomainError):
    """How a unary send reports a turn that started and did not complete: the turn's own code and kind."""

    kind, code = Kind.INTERNAL, "internal_error"
    sentence = SENTENCES["internal_error"]

    def __init__(self, error: TurnError, *, request_id: str, chat_id: str) -> None:
        super().__init__(
            error.message,
            retry_after=None if error.retry_after_ms is None else timedelta(milliseconds=error.retry_after_ms),
            members={"request_id": request_id, "chat_id": chat_id},
        )
        self.kind = KINDS[error.code]
        self.code = error.code

"""Why a provider call failed, and what a client is told about it (api.md 1.7, providers-and-files.md 1.5)."""

from enum import Enum

import msgspec


class FailureKind(Enum):
    UNREACHABLE = "unreachable"
    BUSY_LOCAL = "busy_local"
    MISCONFIGURED = "misconfigured"
    AUTH = "auth"
    ACCOUNT_EXHAUSTED = "account_exhausted"
    REJECTED = "rejected"
    CONTEXT_LENGTH = "context_length"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    BAD_RESPONSE = "bad_response"
    INTERRUPTED = "interrupted"
    INTERNAL = "internal"


class Verdict(msgspec.Struct, frozen=True):
    """The wire code of a failure and whether trying again may help."""

    code: str
    retryable: bool


VERDICTS: dict[FailureKind, Verdict] = {
    FailureKind.UNREACHABLE: Verdict("provider_unavailable", True),
    FailureKind.BUSY_LOCAL: Verdict("provider_unavailable", True),
    FailureKind.MISCONFIGURED: Verdict("provider_error", False),
    FailureKind.AUTH: Verdict("provider_error", False),
    FailureKind.ACCOUNT_EXHAUSTED: Verdict("provider_error", False),
    FailureKind.REJECTED: Verdict("provider_error", False),
    FailureKind.CONTEXT_LENGTH: Verdict("context_budget_exceeded", False),
    FailureKind.RATE_LIMITED: Verdict("rate_limited", True),
    FailureKind.OVERLOADED: Verdict("provider_unavailable", True),
    FailureKind.SERVER_ERROR: Verdict("provider_error", True),
    FailureKind.TIMEOUT: Verdict("provider_timeout", True),
    FailureKind.BAD_RESPONSE: Verdict("provider_error", True),
    FailureKind.INTERRUPTED: Verdict("stream_interrupted", True),
    FailureKind.INTERNAL: Verdict("internal_error", True),
}


class ProviderFailure(msgspec.Struct, frozen=True, kw_only=True):
    """`detail` is for our logs, already redacted; it never reaches a client."""

    kind: FailureKind
    retry_after_ms: int | None = None
    detail: str = ""

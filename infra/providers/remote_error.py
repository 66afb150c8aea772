"""What a remote's error means: one table for HTTP statuses and for errors inside a stream."""

import re
from collections.abc import Mapping
from http import HTTPStatus

import msgspec

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Finish
from infra.providers.redaction import machine_word

_BY_WORD = {
    "context_length_exceeded": FailureKind.CONTEXT_LENGTH,
    "string_above_max_length": FailureKind.CONTEXT_LENGTH,
    "exceed_context_size_error": FailureKind.CONTEXT_LENGTH,
    "insufficient_quota": FailureKind.ACCOUNT_EXHAUSTED,
    "billing_hard_limit_reached": FailureKind.ACCOUNT_EXHAUSTED,
    "billing_error": FailureKind.ACCOUNT_EXHAUSTED,
    "rate_limit_exceeded": FailureKind.RATE_LIMITED,
    "rate_limit_error": FailureKind.RATE_LIMITED,
    "too_many_requests": FailureKind.RATE_LIMITED,
    "overloaded_error": FailureKind.OVERLOADED,
    "server_overloaded": FailureKind.OVERLOADED,
    "engine_overloaded": FailureKind.OVERLOADED,
    "server_is_overloaded": FailureKind.OVERLOADED,
    "slow_down": FailureKind.OVERLOADED,
    "timeout": FailureKind.TIMEOUT,
    "timeout_error": FailureKind.TIMEOUT,
    "vector_store_timeout": FailureKind.TIMEOUT,
    "authentication_error": FailureKind.AUTH,
    "permission_error": FailureKind.AUTH,
    "invalid_api_key": FailureKind.AUTH,
}
_BY_STATUS = {
    401: FailureKind.AUTH,
    402: FailureKind.ACCOUNT_EXHAUSTED,
    403: FailureKind.AUTH,
    408: FailureKind.TIMEOUT,
    425: FailureKind.RATE_LIMITED,
    429: FailureKind.RATE_LIMITED,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    524: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}
_CONTENT_FILTER = {"content_filter", "content_policy_violation", "ResponsibleAIPolicyViolation"}
_STATUS = re.compile(r"[45][0-9]{2}")
_HINTED = {FailureKind.RATE_LIMITED, FailureKind.OVERLOADED}
_TOO_LONG = re.compile(
    r"context (?:length|window|size|limit)|maximum context|(?:prompt|input) is too long|too many tokens",
    re.IGNORECASE,
)


class RemoteError(msgspec.Struct, frozen=True, kw_only=True):
    """`sentence` is read for one question only (is the prompt too long?) and then forgotten."""

    words: tuple[str, ...] = ()
    status: int | None = None
    sentence: str = ""


def read_error(body: object) -> RemoteError | None:
    """The error in a decoded body of any known shape; None where there is none."""
    if isinstance(body, str):
        return RemoteError(sentence=body)
    if not isinstance(body, dict):
        return None
    nested = body.get("error")
    if isinstance(nested, (dict, str)) and nested:
        return read_error(nested) if isinstance(nested, str) else _from_members(nested)
    if any(body.get(name) for name in ("message", "detail", "code")):
        return _from_members(body)
    return None


def verdict(error: RemoteError, http_status: int | None, hint_ms: int | None = None) -> ProviderFailure | Finish:
    """How a call ends with this error; a prompt or answer that a filter stopped has failed nobody."""
    if not _CONTENT_FILTER.isdisjoint(error.words):
        return Finish.CONTENT_FILTER
    status = http_status or error.status
    kind = _kind(error, status)
    words = " ".join(filter(None, map(machine_word, error.words)))
    return ProviderFailure(
        kind=kind,
        retry_after_ms=hint_ms if kind in _HINTED else None,
        detail=f"status {status or 'none'} {words}".strip(),
    )


def _kind(error: RemoteError, status: int | None) -> FailureKind:
    for word in error.words:
        if word in _BY_WORD:
            return _BY_WORD[word]
    if status in {400, 413, None} and _TOO_LONG.search(error.sentence):
        return FailureKind.CONTEXT_LENGTH
    return _by_status(status)


def _by_status(status: int | None) -> FailureKind:
    if status is None:
        return FailureKind.SERVER_ERROR
    if status in _BY_STATUS:
        return _BY_STATUS[status]
    if status < HTTPStatus.BAD_REQUEST:
        return FailureKind.BAD_RESPONSE
    return FailureKind.REJECTED if status < HTTPStatus.INTERNAL_SERVER_ERROR else FailureKind.SERVER_ERROR


def _from_members(members: Mapping[str, object]) -> RemoteError:
    inner = members.get("innererror")
    inner_code = inner.get("code") if isinstance(inner, dict) else None
    words = (members.get("code"), members.get("type"), inner_code)
    sentence = members.get("message") or members.get("detail")
    return RemoteError(
        words=tuple(word for word in words if isinstance(word, str)),
        status=_status(members.get("code")),
        sentence=sentence if isinstance(sentence, str) else "",
    )


def _status(code: object) -> int | None:
    """Some servers put the HTTP status into `code`, as a number or as text."""
    if isinstance(code, str) and _STATUS.fullmatch(code):
        return int(code)
    return code if isinstance(code, int) and _STATUS.fullmatch(str(code)) else None

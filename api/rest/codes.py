"""Every code a client can meet, with its status and what to do about it.

One table feeds the help pages behind `type`, the OpenAPI document and docs/errors.md, so they cannot disagree.
"""

from collections.abc import Iterator, Mapping

import msgspec

from api.rest.refusals import EdgeRefusal
from domain import errors
from domain.errors import DomainError, Kind
from domain.streaming.failures import KINDS, SENTENCES

STATUS: Mapping[Kind, int] = {
    Kind.INVALID: 400,
    Kind.UNAUTHENTICATED: 401,
    Kind.FORBIDDEN: 403,
    Kind.NOT_FOUND: 404,
    Kind.CONFLICT: 409,
    Kind.TOO_LARGE: 413,
    Kind.UNSUPPORTED: 415,
    Kind.MISMATCH: 422,
    Kind.RATE_LIMITED: 429,
    Kind.QUOTA_EXHAUSTED: 429,
    Kind.INTERNAL: 500,
    Kind.UPSTREAM: 502,
    Kind.UNAVAILABLE: 503,
    Kind.UPSTREAM_TIMEOUT: 504,
}


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """`retryable`: the same request may succeed later. `on_stream`: may also end a stream as an `error` event."""

    code: str
    status: int
    summary: str
    remedy: str
    retryable: bool
    on_stream: bool


class _Advice(msgspec.Struct, frozen=True):
    remedy: str
    retryable: bool = False


_NO_ADVICE = _Advice("Read the documentation of the API.")
_CONTACT = "Try again; if it keeps happening, report the trace_id to the operator."
_SEND_AGAIN = "Send the message again, or use the retry route."

ADVICE: Mapping[str, _Advice] = {
    "invalid_request": _Advice("Correct what `errors` names and send the request again."),
    "invalid_model": _Advice("Choose a model from GET /v1/models."),
    "chat_empty": _Advice("Send a message first."),
    "invalid_attachment": _Advice("Send only ids of attachments of this chat that are ready, each once."),
    "images_disabled": _Advice("Send the message without images."),
    "web_search_disabled": _Advice("Send the message without web search."),
    "web_search_calls_exceeded": _Advice("The text so far is in the list of messages. Ask for less at once."),
    "code_interpreter_calls_exceeded": _Advice("The text so far is in the list of messages. Ask for less at once."),
    "invalid_turn_state": _Advice("Wait for the turn to end, or cancel it.", retryable=True),
    "unauthorized": _Advice("Send `Authorization: Bearer <credential>` with a credential that is still valid."),
    "forbidden": _Advice("Ask the administrator of your tenant for the missing role."),
    "feature_not_licensed": _Advice("Ask the administrator of your tenant for the licence named in `feature`."),
    "not_found": _Advice("Check the address; a trailing slash is another address."),
    "chat_not_found": _Advice("Check the id; chats of other users and deleted chats answer like missing ones."),
    "turn_not_found": _Advice("Check the request_id, or use `latest`."),
    "tenant_not_found": _Advice("Check the id; a tenant is known once it has a chat or limits."),
    "model_not_found": _Advice("Choose a model from GET /v1/models."),
    "job_not_found": _Advice("List the dead jobs again: this one has been let go, or done."),
    "kill_switch_not_found": _Advice("List the switches again: this one was cleared, or never was."),
    "method_not_allowed": _Advice("Use one of the methods in the Allow header."),
    "request_timeout": _Advice("Send the body without pauses.", retryable=True),
    "request_id_conflict": _Advice("Read the turn; use a new request_id for another attempt."),
    "generation_in_progress": _Advice("Wait for the running turn to end, or cancel it.", retryable=True),
    "not_latest_turn": _Advice("Read the messages again: another turn has come after this one, or taken its place."),
    "version_conflict": _Advice("Read it again, and decide again with `current_version`."),
    "turn_cancelled": _Advice("The text so far is in the list of messages. Send again if you still want an answer."),
    "body_too_large": _Advice("Send at most `max_bytes` bytes."),
    "unsupported_content_type": _Advice("Send the body as application/json in UTF-8, without Content-Encoding."),
    "request_id_reused": _Advice("Use a new request_id for a new message."),
    "input_too_long": _Advice("Shorten the message."),
    "context_budget_exceeded": _Advice("Shorten the message, or start a new chat."),
    "invalid_filter": _Advice("Correct the `$filter` at the place that `errors` names; text stands in single quotes."),
    "invalid_orderby": _Advice("Name fields of the list in `$orderby`, each once, with asc or desc behind it."),
    "catalogue_invalid": _Advice("Correct what `errors` names and reload again."),
    "invalid_cursor": _Advice("Begin again without a cursor."),
    "invalid_limit": _Advice("Ask for at least one item."),
    "quota_exceeded": _Advice("Wait as long as Retry-After says, or ask for a higher limit.", retryable=True),
    "rate_limited": _Advice("Wait as long as Retry-After says.", retryable=True),
    "too_many_active_turns": _Advice("Wait for one of your running turns to end, or cancel one.", retryable=True),
    "internal_error": _Advice(_CONTACT, retryable=True),
    "orphan_timeout": _Advice(_SEND_AGAIN, retryable=True),
    "not_implemented": _Advice("Leave the option out."),
    "provider_error": _Advice(_SEND_AGAIN, retryable=True),
    "stream_interrupted": _Advice(_SEND_AGAIN, retryable=True),
    "provider_unavailable": _Advice(
        "Send the message again, after Retry-After if it is there, or use the retry route.", retryable=True
    ),
    "generation_disabled": _Advice("Ask the operator, or wait as long as Retry-After says if it is there."),
    "service_unavailable": _Advice("Wait as long as Retry-After says.", retryable=True),
    "server_shutdown": _Advice(_SEND_AGAIN, retryable=True),
    "provider_timeout": _Advice(_SEND_AGAIN, retryable=True),
    "turn_timeout": _Advice("Ask for a shorter answer, or split the task.", retryable=True),
}


class _Source(msgspec.Struct, frozen=True):
    code: str
    status: int
    summary: str


def _sources() -> Iterator[_Source]:
    """Later ones give way to earlier ones of the same code."""
    for refusal in vars(errors).values():
        if isinstance(refusal, type) and issubclass(refusal, DomainError) and refusal is not DomainError:
            yield _Source(refusal.code, STATUS[refusal.kind], refusal.sentence)
    for edge in EdgeRefusal.__subclasses__():
        yield _Source(edge.code, edge.status, edge.sentence)
    for code, kind in KINDS.items():
        yield _Source(code, STATUS[kind], SENTENCES[code])


def _table() -> Mapping[str, Code]:
    found: dict[str, _Source] = {}
    for source in _sources():
        found.setdefault(source.code, source)
    ordered = sorted(found.values(), key=lambda source: (source.status, source.code))
    return {source.code: _code(source) for source in ordered}


def _code(source: _Source) -> Code:
    advice = ADVICE.get(source.code, _NO_ADVICE)
    return Code(
        code=source.code,
        status=source.status,
        summary=source.summary,
        remedy=advice.remedy,
        retryable=advice.retryable,
        on_stream=source.code in SENTENCES,
    )


CODES: Mapping[str, Code] = _table()

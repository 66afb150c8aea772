"""Where an error becomes a problem document (RFC 9457, api.md 1.6); the framework's own errors too."""

from datetime import timedelta
from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import (
    ClientException,
    HTTPException,
    MethodNotAllowedException,
    NotFoundException,
    ValidationException,
)

from api.rest.codes import STATUS
from api.rest.refusals import AddressNotFound, Draining, EdgeRefusal, InternalFault, MethodNotAllowed
from domain.errors import DomainError, Fault, InvalidRequest, Unauthorized
from domain.telemetry.correlation import current_correlation
from domain.telemetry.trace_context import new_trace

MEDIA_TYPE = "application/problem+json"

_PAUSE = timedelta(seconds=1)
_ALWAYS_SAY_WHEN = frozenset({"service_unavailable", "rate_limited"})

_log = structlog.get_logger(__name__)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """An answer to an error, ready to be sent in whatever way the caller sends."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def problem_of(error: Exception, path: str) -> Problem:
    """What the client is told about `error`. Anything nobody foresaw is logged and told as `internal_error`."""
    known = _known(error)
    return _of_edge(known, path) if isinstance(known, EdgeRefusal) else _of_domain(known, path)


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    """The framework's handler for every exception."""
    problem = problem_of(error, request.scope["path"])
    return Response(problem.body, status_code=problem.status, headers=dict(problem.headers), media_type=MEDIA_TYPE)


def _known(error: Exception) -> DomainError | EdgeRefusal:
    match error:
        case DomainError() | EdgeRefusal():
            return error
        case NotFoundException():
            return AddressNotFound()
        case MethodNotAllowedException():
            return MethodNotAllowed(_declared_methods(error))
        case ValidationException():
            return InvalidRequest(faults=tuple(_framework_faults(error)))
        case ClientException():
            return InvalidRequest()
        case _:
            _log.error("unforeseen error", error_type=type(error).__qualname__, exc_info=error)
            return InternalFault()


def _declared_methods(error: HTTPException) -> list[str]:
    """The framework adds an OPTIONS handler to every address; ours do not offer it."""
    named = (error.headers or {}).get("allow", "")
    return [method for method in named.split(", ") if method != "OPTIONS"]


def _framework_faults(error: ValidationException) -> list[Fault]:
    extra = error.extra if isinstance(error.extra, list) else []
    return [
        Fault(field=str(entry.get("key", "")), message="This value is not valid.", code="invalid_value")
        for entry in extra
        if isinstance(entry, dict)
    ]


def _of_edge(refusal: EdgeRefusal, path: str) -> Problem:
    document = _head(refusal.code, refusal.status, refusal.sentence, path) | _errors(refusal.faults)
    return Problem(status=refusal.status, headers=refusal.headers, body=msgspec.json.encode(document))


def _of_domain(refusal: DomainError, path: str) -> Problem:
    status = STATUS[refusal.kind]
    headers = [*_challenge(refusal), *_farewell(refusal)]
    document = _head(refusal.code, status, refusal.detail, path) | _errors(refusal.faults)
    members = dict(refusal.members)
    if (quota_scope := members.pop("quota_scope", None)) is not None:
        document["quota_scope"] = quota_scope
    pause = refusal.retry_after or (_PAUSE if refusal.code in _ALWAYS_SAY_WHEN else None)
    if pause is not None:
        document["retry_after_ms"] = retry_after_ms = round(pause / timedelta(milliseconds=1))
        headers.append(("Retry-After", str(-(-retry_after_ms // 1000))))
    return Problem(status=status, headers=tuple(headers), body=msgspec.json.encode(document | members))


def _head(code: str, status: int, detail: str, path: str) -> dict[str, object]:
    correlation = current_correlation()
    return {
        "type": f"/problems/{code}",
        "title": code,
        "status": status,
        "detail": detail,
        "instance": path,
        "code": code,
        "trace_id": (correlation.trace if correlation else new_trace()).trace_id,
    }


def _errors(faults: tuple[Fault, ...]) -> dict[str, object]:
    return {"errors": faults} if faults else {}


def _challenge(refusal: DomainError) -> tuple[tuple[str, str], ...]:
    """RFC 6750, section 3.1: no error code for a caller who sent no credential."""
    if not isinstance(refusal, Unauthorized):
        return ()
    return (("WWW-Authenticate", 'Bearer error="invalid_token"' if refusal.presented else "Bearer"),)


def _farewell(refusal: DomainError) -> tuple[tuple[str, str], ...]:
    return (("Connection", "close"),) if isinstance(refusal, Draining) else ()

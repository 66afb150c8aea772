"""The outermost layer of the HTTP surface: ids, the headers every answer carries, and one log line per exchange.

It touches the first message of an answer only; a body passes through one plain function call per message.
"""

import re
from collections.abc import Callable, Iterable
from typing import Any, cast

import structlog
from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from api.rest.problems import MEDIA_TYPE, Problem, problem_of
from api.rest.rate_limit_headers import rate_limit_headers
from api.rest.refusals import AddressNotFound
from domain.clock import Clock, elapsed_ms
from domain.errors import InvalidRequest
from domain.ids import uuid7
from domain.limits.standings import Standings, standings_noted
from domain.telemetry.correlation import Correlation, correlated
from domain.telemetry.trace_context import trace_from

HostCheck = Callable[[str | None], bool]

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_COMMON: tuple[tuple[bytes, bytes], ...] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"vary", b"Authorization"),
)
_PROBES = frozenset({"/livez", "/readyz"})

_log = structlog.get_logger("api.access")


def any_host(_: str | None) -> bool:
    return True


class Edge:
    """Wraps the whole application, so that the framework's own answers are treated like ours."""

    def __init__(self, app: ASGIApp, *, clock: Clock, host_check: HostCheck = any_host) -> None:
        self._app = app
        self._clock = clock
        self._host_check = host_check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        started = self._clock.monotonic()
        headers = _single_values(scope["headers"], (b"x-request-id", b"traceparent", b"host"))
        correlation = Correlation(
            request_id=self._request_id(headers.get(b"x-request-id")), trace=trace_from(headers.get(b"traceparent"))
        )
        with correlated(correlation), standings_noted() as standings:
            answer = _Answer(send, correlation.request_id, standings)
            try:
                await self._serve(scope, receive, answer, headers.get(b"host"))
            finally:
                _log_exchange(scope, answer.status, elapsed_ms(self._clock, started))

    async def _serve(self, scope: Scope, receive: Receive, answer: "_Answer", host: str | None) -> None:
        path = scope["path"]
        if path != "/" and (path.endswith("/") or "//" in path):
            # The framework takes /chats/ for /chats.
            await answer.send_problem(problem_of(AddressNotFound(), path))
        elif not self._host_check(host):
            refusal = InvalidRequest.of("Host", "This server does not answer to this name.", "invalid_value")
            await answer.send_problem(problem_of(refusal, path))
        else:
            await self._app(scope, receive, answer.send)

    def _request_id(self, sent: str | None) -> str:
        return sent if sent and _REQUEST_ID.fullmatch(sent) else str(uuid7(self._clock.now()))


class _Answer:
    """Adds the common headers to the head of an answer, without replacing what a handler chose."""

    def __init__(self, send: Send, request_id: str, standings: Standings) -> None:
        self._send = send
        self._standings = standings
        self.status: int | None = None
        self._headers = (*_COMMON, (b"x-request-id", request_id.encode("ascii")))

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            message = self._completed(message)
        await self._send(message)

    async def send_problem(self, problem: Problem) -> None:
        headers = [
            (b"content-type", MEDIA_TYPE.encode("ascii")),
            (b"content-length", str(len(problem.body)).encode("ascii")),
            *((name.lower().encode("ascii"), value.encode("ascii")) for name, value in problem.headers),
        ]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": problem.body, "more_body": False})

    def _completed(self, start: HTTPResponseStartEvent) -> HTTPResponseStartEvent:
        self.status = start["status"]
        headers = list(start["headers"])
        present = {name.lower() for name, _ in headers}
        headers += [(name, value) for name, value in self._headers if name not in present]
        headers += rate_limit_headers(self._standings)
        return {"type": "http.response.start", "status": start["status"], "headers": headers}


def _single_values(headers: Iterable[tuple[bytes, bytes]], wanted: tuple[bytes, ...]) -> dict[bytes, str]:
    """The values of these headers; one that is sent twice counts as not sent."""
    found: dict[bytes, list[str]] = {}
    for name, value in headers:
        if name in wanted:
            found.setdefault(name, []).append(value.decode("latin-1"))
    return {name: values[0] for name, values in found.items() if len(values) == 1}


def _log_exchange(scope: Scope, status: int | None, duration_ms: int) -> None:
    """Names the route, never the path, query or body: ids belong to the lines of the use cases."""
    if scope["path"] in _PROBES:
        return
    route = cast("dict[str, Any]", scope).get("path_template", "none")
    _log.info("http exchange", method=scope.get("method"), route=route, status=status, duration_ms=duration_ms)

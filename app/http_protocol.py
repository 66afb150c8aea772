"""One connection: uvicorn's protocol with bounds on the head of a request, and with refusals in the API's own form."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from typing import ClassVar, cast

import msgspec
from litestar.types import Scope
from typing_extensions import override
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from api.rest.problems import MEDIA_TYPE, problem_of
from api.streaming.connection import offer_connection
from app.connection import CycleConnection
from app.outbox import Outbox
from domain.clock import SystemClock
from domain.errors import InvalidRequest
from domain.ids import uuid7

_clock = SystemClock()

_MOST_EXCHANGES = 16
"""Requests sent in a row before the first of them is answered; each may hold as much as uvicorn buffers of a body."""


class HeadLimits(msgspec.Struct, frozen=True, kw_only=True):
    """Of the request line and headers together; `within` runs from the connection or the head's first byte."""

    within: timedelta = timedelta(seconds=10)
    max_bytes: int = 64 * 1024


class TurnProtocol(HttpToolsProtocol):
    """Lets a stream cut its connection off, and neither waits nor collects for an endless head."""

    # Beside uvicorn's own attributes these would be too many for a dictionary that shares its keys.
    __slots__ = ("_exchanges", "_head_bytes", "_heads", "_in_head", "_patience")

    limits: ClassVar[HeadLimits] = HeadLimits()
    outbox: ClassVar[Outbox] = Outbox()

    @override
    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._exchanges: list[CycleConnection] = []
        self._heads = 0
        super().connection_made(transport)
        self._await_head()

    def _await_head(self) -> None:
        self._in_head = True
        self._heads += 1
        self._head_bytes = 0
        self._patience = self.loop.call_later(self.limits.within.total_seconds(), self.transport.abort)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._patience.cancel()
        super().connection_lost(exc)
        for exchange in self._exchanges:
            exchange.closed()

    @override
    def data_received(self, data: bytes) -> None:
        head = self._heads
        super().data_received(data)
        # A head that began somewhere in this piece has its first bytes for nothing: the rest was another request's.
        if self._in_head and self._heads == head:
            self._head_bytes += len(data)
            if self._head_bytes > self.limits.max_bytes and not self.transport.is_closing():
                self.send_400_response("The head of the request is too large.")

    @override
    def on_message_begin(self) -> None:
        super().on_message_begin()
        if not self._in_head:
            self._await_head()

    @override
    def on_headers_complete(self) -> None:
        self._patience.cancel()
        self._in_head = False
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            # The application has not run yet: its task was only made.
            connection = CycleConnection(self.cycle, self.outbox)
            offer_connection(cast("Scope", self.cycle.scope), connection)
            self._exchanges.append(connection)
            self._keep_listening()

    def _keep_listening(self) -> None:
        """Uvicorn stops reading behind an unfinished answer, and so would not hear that its client has gone."""
        if len(self._exchanges) > _MOST_EXCHANGES:
            self.transport.abort()
        elif len(self._exchanges) > 1:
            self.flow.resume_reading()

    @override
    def on_response_complete(self) -> None:
        self._exchanges.pop(0).release()
        super().on_response_complete()

    @override
    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets a problem document, but never in the middle of another answer."""
        if len(self._exchanges) > 1 or _is_answering(self.cycle):
            self.transport.abort()
            return
        self.transport.write(b"".join(_refusal(msg, self.server_state.default_headers)))
        self.transport.close()


def turn_protocol(limits: HeadLimits) -> type[TurnProtocol]:
    """The protocol class of a server with these limits: uvicorn makes its objects itself."""
    return type("LimitedTurnProtocol", (TurnProtocol,), {"limits": limits, "outbox": Outbox()})


def _is_answering(cycle: RequestResponseCycle | None) -> bool:
    return cycle is not None and cycle.response_started and not cycle.response_complete


def _refusal(sentence: str, common: list[tuple[bytes, bytes]]) -> Iterator[bytes]:
    problem = problem_of(InvalidRequest.of("request", sentence, "syntax"), "/")
    headers = [
        *common,
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(problem.body)).encode()),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", str(uuid7(_clock.now())).encode()),
        (b"connection", b"close"),
    ]
    yield b"HTTP/1.1 400 Bad Request\r\n"
    for name, value in headers:
        yield b"%b: %b\r\n" % (name, value)
    yield b"\r\n"
    yield problem.body

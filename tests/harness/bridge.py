"""Speaks ASGI to an application in the test's own loop, and misbehaves the way real clients and sockets do.

Like uvicorn, `send` returns without suspending while the peer takes bytes, and swallows everything once it is gone.
"""

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Iterator,
    Mapping,
    MutableMapping,
)
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import unquote

import anyio
import msgspec

from api.streaming.connection import offer_connection

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Any, Any, Any], Awaitable[None]]
Headers = Mapping[str, str | bytes]
Body = bytes | AsyncIterable[bytes]

PATIENCE_SECONDS = 5


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer; header names are lower-case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """The value, several values joined by a comma as in RFC 9110."""
        return _joined(self.headers, name)

    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Exchange:
    """One request and its answer while it is still arriving."""

    def __init__(self, body: Body) -> None:
        self._request = _chunks_of(body)
        self._gone = anyio.Event()
        self._when_closed: list[Callable[[], None]] = []
        self.aborted = 0
        self._writable = anyio.Event()
        self._writable.set()
        self._news = anyio.Event()
        self._refusal: OSError | None = None
        self._failure: Exception | None = None
        self._messages: list[Message] = []
        self._taken = 0
        self.ended = anyio.Event()

    async def started(self) -> None:
        """Returns once status and headers are there."""
        await self._wait_for(1)

    @property
    def status(self) -> int:
        return int(self._head["status"])

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in self._head["headers"])

    def header(self, name: str) -> str | None:
        return _joined(self.headers, name)

    async def body(self) -> AsyncGenerator[bytes, None]:
        """The body, one item per `send` of the application; goes on where an earlier loop stopped."""
        await self.started()
        while await self._wait_for(self._taken + 2):
            message = self._messages[self._taken + 1]
            self._taken += 1
            if message.get("body"):
                yield message["body"]

    async def answer(self) -> Answer:
        """Waits for the end of the application and returns what arrived and was not read yet."""
        body = b"".join([chunk async for chunk in self.body()])
        return Answer(status=self.status, headers=self.headers, body=body)

    def disconnect(self) -> None:
        """The peer is gone: `receive` says so, `send` swallows everything from now on."""
        self._gone.set()
        self._writable.set()
        while self._when_closed:
            self._when_closed.pop()()

    def stall_send(self) -> None:
        """The peer stops reading and its buffers are full: `send` blocks until `resume_send` or `disconnect`."""
        self._writable = anyio.Event()

    def resume_send(self) -> None:
        self._writable.set()

    def refuse_send(self) -> None:
        """`send` raises from now on, as the ASGI specification allows once a client has gone."""
        self._refusal = OSError("the connection is closed")

    def write(self, part: bytes) -> bool:
        """With the next two what our own server offers beyond ASGI, see `api.streaming.connection.Connection`."""
        if self._gone.is_set() or not self._writable.is_set() or self._refusal is not None:
            return False
        self._messages.append({"type": "http.response.body", "body": part, "more_body": True})
        self._announce()
        return True

    def when_closed(self, act: Callable[[], None]) -> None:
        if self._gone.is_set():
            act()
        else:
            self._when_closed.append(act)

    def abort(self) -> None:
        self.aborted += 1
        self.disconnect()

    async def serve(self, app: App, scope: MutableMapping[str, Any]) -> None:
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:  # noqa: BLE001 - handed to the test, which raises it where it waits
            self._failure = error
        finally:
            self.ended.set()
            self._announce()

    @property
    def _head(self) -> Message:
        assert self._messages, "the answer has not started: await started() first"
        return self._messages[0]

    async def _receive(self) -> Message:
        if self._gone.is_set():
            return {"type": "http.disconnect"}
        chunk = await self._next_chunk()
        if chunk is None:
            await self._gone.wait()
            return {"type": "http.disconnect"}
        return chunk

    async def _next_chunk(self) -> Message | None:
        """The next request message, or None when all of them were handed out or the peer left meanwhile."""
        found: Message | None = None
        async with anyio.create_task_group() as group:

            async def leave_with_the_peer() -> None:
                await self._gone.wait()
                group.cancel_scope.cancel()

            group.start_soon(leave_with_the_peer)
            found = await anext(self._request, None)
            group.cancel_scope.cancel()
        return found

    async def _send(self, message: Message) -> None:
        if self._refusal is not None:
            raise self._refusal
        if not self._writable.is_set():
            await self._writable.wait()
        if self._gone.is_set():
            return
        self._messages.append(dict(message))
        self._announce()

    def _announce(self) -> None:
        self._news.set()
        self._news = anyio.Event()

    async def _wait_for(self, count: int) -> bool:
        """True once so many messages arrived, False when the application ended before. Raises its error."""
        with anyio.fail_after(PATIENCE_SECONDS):
            while len(self._messages) < count and not self.ended.is_set():
                await self._news.wait()
        if len(self._messages) >= count:
            return True
        if self._failure is not None:
            raise self._failure
        if not self._messages:
            raise AssertionError("the application ended without an answer")
        return False


@asynccontextmanager
async def open_exchange(
    app: App, method: str, target: str, headers: Headers | None = None, body: Body = b"", *, offers: bool = False
) -> AsyncIterator[Exchange]:
    """Starts the application on the request `target` (path and query as on the wire).

    `offers`: like our own server, whose streams may use the connection itself, instead of any that speaks ASGI.
    Leaving the block closes the connection; the application then has to end by itself within five seconds.
    """
    exchange = Exchange(body)
    failure: Exception | None = None
    async with anyio.create_task_group() as group:
        scope = scope_of(method, target, _framed(headers or {}, body))
        if offers:
            offer_connection(cast("Any", scope), exchange)
        group.start_soon(exchange.serve, app, scope)
        try:
            yield exchange
            exchange.disconnect()
            with anyio.fail_after(PATIENCE_SECONDS):
                await exchange.ended.wait()
        except Exception as error:  # noqa: BLE001 - raised below, outside of the group that would wrap it
            failure = error
            group.cancel_scope.cancel()
    if failure is not None:
        raise failure


async def request(app: App, method: str, target: str, headers: Headers | None = None, body: Body = b"") -> Answer:
    """The whole answer. Raises what the application raised before it answered."""
    async with open_exchange(app, method, target, headers, body) as exchange:
        await exchange.started()
        return await exchange.answer()


def _framed(headers: Headers, body: Body) -> Headers:
    """With the header without which HTTP/1.1 has no body (RFC 9112, section 6.3)."""
    if body == b"" or {"content-length", "transfer-encoding"} & {name.lower() for name in headers}:
        return headers
    if isinstance(body, bytes):
        return {**headers, "Content-Length": str(len(body))}
    return {**headers, "Transfer-Encoding": "chunked"}


def scope_of(method: str, target: str, headers: Headers) -> MutableMapping[str, Any]:
    """What uvicorn would make of the request line and headers."""
    raw_path, _, query = target.partition("?")
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(raw_path),
        "raw_path": raw_path.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": list(_raw(headers)),
        "client": ("127.0.0.1", 49152),
        "server": ("127.0.0.1", 8080),
        "state": {},
    }


def _raw(headers: Headers) -> Iterator[tuple[bytes, bytes]]:
    if "host" not in {name.lower() for name in headers}:
        yield b"host", b"127.0.0.1:8080"
    for name, value in headers.items():
        yield name.lower().encode("latin-1"), value if isinstance(value, bytes) else value.encode("latin-1")


async def _chunks_of(body: Body) -> AsyncIterator[Message]:
    if isinstance(body, bytes):
        yield {"type": "http.request", "body": body, "more_body": False}
        return
    async for chunk in body:
        yield {"type": "http.request", "body": chunk, "more_body": True}
    yield {"type": "http.request", "body": b"", "more_body": False}


def _joined(headers: tuple[tuple[str, str], ...], name: str) -> str | None:
    values = [value for key, value in headers if key == name.lower()]
    return ", ".join(values) if values else None

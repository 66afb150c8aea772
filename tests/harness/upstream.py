"""A real HTTP server on loopback that plays scripted answers and records what its clients do to it.

    async with Upstream() as upstream:
        upstream.reply(sse(text("Hello"), 0.05, text(" world"), finish(), DONE))
        ...  # call upstream.url
        await upstream.exchanges[0].closed.wait()

A step is a pause in seconds, bytes to write, or an `Action`. Replies are used in order, the last one for ever;
`answer_with` makes each from its request instead.
"""

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from types import TracebackType
from typing import Self, TypeAlias, cast

import msgspec
from typing_extensions import override


class Action(Enum):
    HANG = "hang"
    CLOSE = "close"
    RESET = "reset"


Step: TypeAlias = float | bytes | Action

DONE = b"data: [DONE]\n\n"


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """`chunked` bodies end properly after the last step, others when the connection is closed."""

    status: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=lambda: {"Content-Type": "text/event-stream"})
    before_head: Sequence[Step] = ()
    steps: Sequence[Step] = ()
    chunked: bool = True


class Exchange:
    """One request as the server saw it; times are `time.monotonic()`."""

    def __init__(self, connection: int, target: str, headers: dict[str, str], body: bytes) -> None:
        self.connection = connection
        self.target = target
        self.headers = headers
        self.body = body
        self.received_at = time.monotonic()
        self.writes: list[tuple[float, int]] = []
        self.closed_at: float | None = None
        self.closed = asyncio.Event()


class Upstream:
    """`connections` are those open now, `idle` is set while there are none; `accepted` counts all that ever were."""

    def __init__(self) -> None:
        self.exchanges: list[Exchange] = []
        self.connections: set[asyncio.Transport] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.accepted = 0
        self._replies: list[Reply] = []
        self._replier: Callable[[Exchange], Reply] = self._next_reply
        self._server: asyncio.Server | None = None
        self.url = ""

    def reply(self, *replies: Reply) -> None:
        """From the next request on."""
        self._replies = list(replies)
        self._replier = self._next_reply

    def answer_with(self, replier: Callable[["Exchange"], Reply]) -> None:
        """From the next request on."""
        self._replier = replier

    def reply_to(self, exchange: "Exchange") -> Reply:
        return self._replier(exchange)

    def _next_reply(self, _: "Exchange") -> Reply:
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for transport in self.connections:
            transport.abort()
        await self.idle.wait()


class _Connection(asyncio.Protocol):
    def __init__(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._received = b""
        self._player: asyncio.Task[None] | None = None
        self._exchange: Exchange | None = None
        self._number = 0

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's transports do not say so themselves
        self._upstream.accepted += 1
        self._number = self._upstream.accepted
        self._upstream.connections.add(self._transport)
        self._upstream.idle.clear()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self._upstream.connections.discard(self._transport)
        if not self._upstream.connections:
            self._upstream.idle.set()
        if self._player is not None:
            self._player.cancel()
        if self._exchange is not None:
            self._exchange.closed_at = time.monotonic()
            self._exchange.closed.set()

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, rest = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        request_line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        if len(rest) < length:
            return
        self._received = rest[length:]
        self._exchange = Exchange(self._number, request_line.split(" ")[1], headers, rest[:length])
        self._upstream.exchanges.append(self._exchange)
        self._player = asyncio.get_running_loop().create_task(self._play(self._upstream.reply_to(self._exchange)))

    async def _play(self, reply: Reply) -> None:
        await self._steps(reply.before_head, chunked=False)
        framing = "Transfer-Encoding: chunked" if reply.chunked else "Connection: close"
        lines = [f"HTTP/1.1 {reply.status} Scripted", framing, *(f"{k}: {v}" for k, v in reply.headers.items())]
        self._transport.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        await self._steps(reply.steps, chunked=reply.chunked)
        if reply.chunked:
            self._transport.write(b"0\r\n\r\n")
        else:
            self._transport.close()

    async def _steps(self, steps: Sequence[Step], *, chunked: bool) -> None:
        for step in steps:
            if isinstance(step, Action):
                await self._act(step)
            elif isinstance(step, bytes):
                self._write(step, chunked=chunked)
            else:
                await asyncio.sleep(step)

    def _write(self, data: bytes, *, chunked: bool) -> None:
        assert self._exchange is not None
        self._exchange.writes.append((time.monotonic(), len(data)))
        self._transport.write(b"%x\r\n%b\r\n" % (len(data), data) if chunked else data)

    async def _act(self, action: Action) -> None:
        if action is Action.CLOSE:
            self._transport.close()
        if action is Action.RESET:
            connection: socket.socket = self._transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        await asyncio.Event().wait()


def sse(*steps: Step) -> Reply:
    return Reply(steps=steps)


def refusal(status: int, body: object, **headers: str) -> Reply:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(
        status=status, headers={"Content-Type": "application/json", **names}, steps=[msgspec.json.encode(body)]
    )


def frame(data: object) -> bytes:
    return b"data: " + msgspec.json.encode(data) + b"\n\n"


def text(content: str) -> bytes:
    return frame({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {"content": content}, "finish_reason": None}]})


def finish(reason: str = "stop") -> bytes:
    return frame({"id": "chatcmpl-1", "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def usage(prompt: int, completion: int) -> bytes:
    return frame({"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": completion}})

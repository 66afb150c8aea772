"""A local OpenAI-compatible model server: paced deltas, and a record of when each caller hung up.

`python -m bench.upstream PORT INTERVAL_MS` answers

    POST /v1/chat/completions   deltas INTERVAL_MS apart, each saying which stream it belongs to and its number
    POST /v1/responses          the same as events of the Responses API
    GET  /closed                {stream: monotonic nanoseconds at which its connection was lost before the end}
    GET  /readyz                200

The last message of the prompt is the name of the stream, `anything/N`, and N the number of its deltas. Written
on bare protocols, so that this process never becomes what the bench measures.
"""

import asyncio
import sys
import time
from typing import cast

import msgspec
import uvloop
from typing_extensions import override

from bench.formats import BY_KIND, Format, Prompt

_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)


class Connection(asyncio.Protocol):
    """One keep-alive connection: whole requests in, one paced stream at a time out."""

    def __init__(self, interval_seconds: float, closed: dict[str, int]) -> None:
        self._interval_seconds = interval_seconds
        self._closed = closed
        self._received = b""
        self._streaming: str | None = None
        self._timer: asyncio.TimerHandle | None = None

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        now_ns = time.monotonic_ns()
        if self._timer is not None:
            self._timer.cancel()
        if self._streaming is not None:
            self._closed[self._streaming] = now_ns

    @override
    def data_received(self, data: bytes) -> None:
        self._received += data
        head, separator, rest = self._received.partition(b"\r\n\r\n")
        if not separator or len(rest) < _content_length(head):
            return
        self._received = b""
        self._answer(head, rest)

    def _answer(self, head: bytes, body: bytes) -> None:
        if head.startswith(b"GET /closed "):
            self._transport.write(_plain(msgspec.json.encode(self._closed)))
        elif head.startswith(b"GET /readyz "):
            self._transport.write(_plain(b"{}"))
        else:
            path = head.split(b" ", 2)[1]
            asked = next(format_ for format_ in BY_KIND.values() if format_.path == path)
            self._begin(asked, msgspec.json.decode(body, type=Prompt).last)

    def _begin(self, format_: Format, stream: str) -> None:
        self._format = format_
        self._streaming = stream
        self._deltas = int(stream.rpartition("/")[2])
        self._text = b"%b:%%d " % stream.encode()
        self._transport.write(_HEAD + _framed(format_.begin()))
        self._started = asyncio.get_running_loop().time()
        self._schedule(0)

    def _schedule(self, number: int) -> None:
        due = self._started + (number + 1) * self._interval_seconds
        self._timer = asyncio.get_running_loop().call_at(due, self._step, number)

    def _step(self, number: int) -> None:
        if number == self._deltas:
            self._finish()
            return
        self._transport.write(_framed(self._format.delta(self._text % number, number)))
        self._schedule(number + 1)

    def _finish(self) -> None:
        self._streaming = self._timer = None
        self._transport.write(_framed(self._format.end(self._deltas)) + b"0\r\n\r\n")


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


def _framed(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _plain(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


async def _serve(port: int, interval_seconds: float) -> None:
    closed: dict[str, int] = {}
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(interval_seconds, closed), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))

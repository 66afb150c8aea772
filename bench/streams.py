"""The load: many event streams at once, each read to its end and checked, or left on purpose.

`python -m bench.streams PLAN_FILE` ends with one JSON line, an `Outcome`. Nothing is parsed while bytes arrive,
so this process stays cheap beside the server it loads.
"""

import asyncio
import socket
import struct
import sys
import time
from itertools import accumulate
from pathlib import Path
from typing import cast

import msgspec
import uvloop
from typing_extensions import override

from bench.transcript import faults

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class Call(msgspec.Struct, frozen=True, kw_only=True):
    stream: str
    path: str
    headers: dict[str, str]
    body: str
    method: str = "POST"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Calls open `open_every_ms` apart. With `leave_every_ms` each is left at that distance, once all have begun."""

    port: int
    calls: list[Call]
    open_every_ms: float
    leave_every_ms: float | None = None
    deadline_seconds: float


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """`most_open` streams were between their first and last byte at once; `left_ns` is the monotonic time at which
    each stream that was left had its socket closed."""

    faults: list[str]
    most_open: int
    left_ns: dict[str, int]


class Stream(asyncio.Protocol):
    """One HTTP exchange on a connection of its own; all bytes are kept."""

    def __init__(self, call: Call) -> None:
        self.call = call
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.begun_at = self.ended_at = 0.0
        self.parts: list[bytes] = []

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.transport.write(_request(self.call))

    @override
    def data_received(self, data: bytes) -> None:
        self.parts.append(data)
        if not self.begun.is_set() and b"event: delta" in data:
            self.begun_at = time.monotonic()
            self.begun.set()
        if data.endswith(b"0\r\n\r\n"):
            self.transport.close()

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.ended_at = time.monotonic()
        self.begun.set()
        self.ended.set()

    def leave(self, *, by_reset: bool) -> int:
        """Closes by RST or FIN and returns the monotonic nanoseconds just before."""
        if by_reset:
            connection: socket.socket = self.transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        now_ns = time.monotonic_ns()
        self.transport.abort()
        return now_ns


async def drive(plan: Plan) -> Outcome:
    async with asyncio.timeout(plan.deadline_seconds):
        streams = [await _open(plan, call) for call in plan.calls]
        for stream in streams:
            await stream.begun.wait()
        left_ns = {} if plan.leave_every_ms is None else await _leave_all(streams, plan.leave_every_ms)
        for stream in streams:
            await stream.ended.wait()
    completed = (stream for stream in streams if stream.call.stream not in left_ns)
    return Outcome(
        faults=[fault for stream in completed for fault in _faults(stream)],
        most_open=_most_open(streams),
        left_ns=left_ns,
    )


async def _open(plan: Plan, call: Call) -> Stream:
    await asyncio.sleep(plan.open_every_ms / 1000)
    _, stream = await asyncio.get_running_loop().create_connection(lambda: Stream(call), "127.0.0.1", plan.port)
    return stream


async def _leave_all(streams: list[Stream], every_ms: float) -> dict[str, int]:
    left_ns = {}
    for position, stream in enumerate(streams):
        await asyncio.sleep(every_ms / 1000)
        if not stream.ended.is_set():
            left_ns[stream.call.stream] = stream.leave(by_reset=position % 2 == 0)
    return left_ns


def _request(call: Call) -> bytes:
    headers = "".join(f"{name}: {value}\r\n" for name, value in call.headers.items())
    body = call.body.encode()
    head = f"{call.method} {call.path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _most_open(streams: list[Stream]) -> int:
    steps = [(stream.begun_at, 1) for stream in streams] + [(stream.ended_at, -1) for stream in streams]
    return max(accumulate(step for _, step in sorted(steps)))


def _faults(stream: Stream) -> list[str]:
    name = stream.call.stream
    return [f"stream {name}: {fault}" for fault in faults(stream.parts, name, int(name.rpartition("/")[2]))]


def _main() -> None:
    plan = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Plan)
    print(msgspec.json.encode(uvloop.run(drive(plan))).decode())


if __name__ == "__main__":
    _main()

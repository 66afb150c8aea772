"""`python -m bench.turns`: how fast a turn is stopped and joined, and what many readers of one turn cost.

All on one server process with its own PostgreSQL and a local model server, from the sending of a request to the
first sign of what it asked for. Wall-clock times: run it on a machine that does nothing else.
"""

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles
from uuid import UUID, uuid4

import aiohttp
import anyio
import msgspec

from bench.measure import closes
from bench.process_costs import costs_of
from bench.report import Gate
from bench.streams import Call, Stream
from bench.targets import MINI_CHAT, Target, targets
from tests.harness.processes import Server, free_port, http_server

_API = "/mini-chat/v1"
_RUNNING = 300
_CANCEL_EVERY_S = 0.02
_BACKLOG_EVENTS = 2_000
_ATTACHES = 100
_MANY_READERS = 100
_WINDOW_S = 4.0
_DEADLINE_S = 120


class Turn(msgspec.Struct, frozen=True):
    """A running turn with the one connection that started it."""

    chat_id: str
    request_id: UUID
    stream: Stream

    @property
    def path(self) -> str:
        return f"{_API}/chats/{self.chat_id}/turns/{self.request_id}"


class Bench(msgspec.Struct, frozen=True):
    """One warm server beside one model server."""

    target: Target
    server: Server
    upstream: Server

    async def start(self, name: str) -> Turn:
        """A turn that goes on without readers and says as many deltas as the end of `name` tells."""
        request_id = uuid4()
        body = {**self.target.body(name), "request_id": str(request_id), "on_disconnect": "continue"}
        call = Call(stream=name, path=self.target.path, headers=self.headers, body=msgspec.json.encode(body).decode())
        stream = await self.open(call)
        await stream.begun.wait()
        head = b"".join(stream.parts).partition(b"\r\n\r\n")[0].lower()
        chat_id = head.partition(b"x-chat-id: ")[2][:36].decode()
        return Turn(chat_id, request_id, stream)

    async def open(self, call: Call) -> Stream:
        loop = asyncio.get_running_loop()
        _, stream = await loop.create_connection(lambda: Stream(call), "127.0.0.1", self.server.port)
        return stream

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.target.tokens[0]}"}


@asynccontextmanager
async def _bench(interval_ms: int, directory: Path) -> AsyncIterator[Bench]:
    port = free_port()
    command = [sys.executable, "-m", "bench.upstream", str(port), str(interval_ms)]
    async with http_server(command, port=port, ready_path="/readyz", directory=directory / "upstream") as upstream:
        (target,) = await targets(f"{upstream.url}/v1", directory, [MINI_CHAT])
        async with http_server(
            target.command,
            port=target.port,
            ready_path="/readyz",
            directory=target.directory,
            env={"MINI_CHAT_STREAMING_MAX_READERS": str(_MANY_READERS + 1)},
        ) as server:
            yield Bench(target, server, upstream)


async def cancelling(directory: Path) -> Gate:
    """From sending the cancel request to the closing of the turn's connection at the model server."""
    async with _bench(100, directory) as bench:
        names = [f"cancel-{number}/100000" for number in range(_RUNNING)]
        turns = {name: await bench.start(name) for name in names}
        sent_ns: dict[str, int] = {}
        async with aiohttp.ClientSession(headers=bench.headers) as session, anyio.create_task_group() as tasks:
            for name, turn in turns.items():
                await anyio.sleep(_CANCEL_EVERY_S)
                sent_ns[name] = time.monotonic_ns()
                tasks.start_soon(_cancel, session, bench.server.url + turn.path)
        closed_ns = await closes(bench.upstream, names)
        lags_ms = [(closed_ns[name] - sent_ns[name]) / 1_000_000 for name in names]
    return _latency(f"cancel to upstream closed, {_RUNNING} running, p99", lags_ms, limit_ms=50)


async def _cancel(session: aiohttp.ClientSession, turn: str) -> None:
    async with session.post(f"{turn}/cancel") as response:
        if (await response.json()).get("state") != "cancelled":
            raise RuntimeError(f"not cancelled: {await response.text()}")


async def attaching(directory: Path) -> Gate:
    """From sending the request to the first bytes of an answer that tells the whole backlog."""
    async with _bench(2, directory) as bench:
        turn = await bench.start("attach/100000")
        while _events([turn.stream]) < _BACKLOG_EVENTS:  # noqa: ASYNC110 - a stream rings no event per delta
            await anyio.sleep(0.01)
        lags_ms = [await _first_byte_ms(bench, turn) for _ in range(_ATTACHES)]
        turn.stream.transport.abort()
    return _latency(f"attach to a live turn of {_BACKLOG_EVENTS} events, first byte p99", lags_ms, limit_ms=50)


async def _first_byte_ms(bench: Bench, turn: Turn) -> float:
    started = time.monotonic()
    reader = await bench.open(_attach(bench, turn, "attach"))
    await reader.begun.wait()
    if not reader.parts or not reader.parts[0].startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"not attached: {b''.join(reader.parts)[:200]!r}")
    reader.transport.abort()
    return (reader.begun_at - started) * 1000


def _attach(bench: Bench, turn: Turn, name: str) -> Call:
    return Call(stream=name, path=f"{turn.path}/events", headers=bench.headers, body="", method="GET")


async def many_readers(directory: Path) -> Gate:
    """The server's CPU time per event and reader: all of it, the provider's side too, with one and with many."""
    async with _bench(20, directory) as bench:
        turn = await bench.start("readers/100000")
        alone_us = await _cpu_us_per_event(bench, [turn.stream])
        readers = [await bench.open(_attach(bench, turn, f"reader-{number}")) for number in range(_MANY_READERS - 1)]
        for reader in readers:
            await reader.begun.wait()
        together_us = await _cpu_us_per_event(bench, [turn.stream, *readers])
        for reader in [turn.stream, *readers]:
            reader.transport.abort()
    return Gate(
        what=f"CPU per delivered event, {_MANY_READERS} readers / 1",
        measured=together_us / alone_us,
        limit=3,
        unit="x",
        remark=f"; {together_us:.1f} us against {alone_us:.1f} us",
    )


async def _cpu_us_per_event(bench: Bench, readers: list[Stream]) -> float:
    before, seen = costs_of(bench.server.pid), _events(readers)
    await anyio.sleep(_WINDOW_S)
    after, now_seen = costs_of(bench.server.pid), _events(readers)
    return (after.cpu_us - before.cpu_us) / (now_seen - seen)


def _events(readers: list[Stream]) -> int:
    return sum(b"".join(reader.parts).count(b"event: delta") for reader in readers)


def _latency(what: str, lags_ms: list[float], limit_ms: float) -> Gate:
    return Gate(
        what=what,
        measured=quantiles(lags_ms, n=100, method="inclusive")[98],
        limit=limit_ms,
        unit="ms",
        remark=f"; p50 {median(lags_ms):.2f}, max {max(lags_ms):.2f}",
    )


def _home(directory: Path) -> Path:
    """The embedded PostgreSQL may run as another user."""
    directory.mkdir()
    directory.chmod(0o755)
    return directory


async def _measure(directory: Path) -> list[Gate]:
    gates = []
    for number, measure in enumerate((cancelling, attaching, many_readers)):
        with anyio.fail_after(_DEADLINE_S):
            gates.append(await measure(_home(directory / str(number))))
        print(gates[-1], flush=True)
    return gates


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="mini-chat-bench-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)
        gates = anyio.run(_measure, Path(directory), backend_options={"use_uvloop": True})
    return int("--gate" in sys.argv and not all(gate.met for gate in gates))


if __name__ == "__main__":
    sys.exit(main())

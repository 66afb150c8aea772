"""One round with one server: start it, warm it, load it, and say what that cost."""

import sys
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import anyio
import msgspec

from bench.process_costs import costs_of
from bench.streams import Outcome, Plan
from bench.targets import Target
from tests.harness.processes import ChildProcess, Server, child_process, http_server

_DEADLINE_SECONDS = 90
_CLOSE_WITHIN_SECONDS = 10
_OPEN_EVERY_MS = 10
_LEAVE_EVERY_MS = 10
_MEMORY_INTERVAL_SECONDS = 0.2
_WARM_UP_STREAMS = 40
_WARM_UP_DELTAS = 20


class WrongStream(Exception):
    """A server that loses, doubles or mixes up text has no speed."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    streams: int
    deltas: int
    interval_ms: int
    leaving_streams: int
    rounds: int

    def names(self, purpose: str) -> list[str]:
        """A name per stream; the upstream reads the number of deltas from its end."""
        return [f"{purpose}-{number}/{self.deltas}" for number in range(self.streams)]


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """What one round used from the first connect to the last byte, nothing subtracted."""

    cpu_us_per_delta: float
    postgres_us_per_delta: float
    kib_per_stream: float


@asynccontextmanager
async def warm_server(target: Target) -> AsyncIterator[Server]:
    """The target in a process of its own, after enough streams to have its code loaded and its pools open."""
    async with http_server(
        target.command, port=target.port, ready_path="/readyz", directory=target.directory
    ) as server:
        names = [f"warm-up-{number}/{_WARM_UP_DELTAS}" for number in range(_WARM_UP_STREAMS)]
        plan = _plan(target, names)
        with anyio.fail_after(_DEADLINE_SECONDS):
            async with _load_generator(plan, target.directory) as generator:
                await _outcome(generator)
        yield server


async def loaded(target: Target, server: Server, load: Load) -> Sample:
    """Raises WrongStream unless every stream carried exactly its own deltas, in order, to a `done`."""
    plan = _plan(target, load.names("load"))
    before = costs_of(server.pid)
    with anyio.fail_after(_DEADLINE_SECONDS):
        async with _load_generator(plan, server.directory) as generator:
            peak_kib = await _peak_kib(server, generator)
            outcome = await _outcome(generator)
    after = costs_of(server.pid)
    deltas = load.streams * load.deltas
    return Sample(
        cpu_us_per_delta=(after.cpu_us - before.cpu_us) / deltas,
        postgres_us_per_delta=(after.postgres_cpu_us - before.postgres_cpu_us) / deltas,
        kib_per_stream=(peak_kib - before.resident_kib) / outcome.most_open,
    )


async def abandoned(target: Target, server: Server, load: Load, upstream: Server, round_number: int) -> list[float]:
    """Milliseconds from closing each reader's socket, by RST and FIN in turns, to the close of its upstream socket.

    Raises WrongStream when an upstream connection stays open.
    """
    leaving = msgspec.structs.replace(load, streams=load.leaving_streams)
    plan = _plan(target, leaving.names(f"leave-{round_number}"), leave_every_ms=_LEAVE_EVERY_MS)
    with anyio.fail_after(_DEADLINE_SECONDS):
        async with _load_generator(plan, server.directory) as generator:
            left_ns = (await _outcome(generator)).left_ns
        closed_ns = await closes(upstream, left_ns)
    return [(closed_ns[stream] - left_ns[stream]) / 1_000_000 for stream in left_ns]


async def _peak_kib(server: Server, generator: ChildProcess) -> int:
    peak_kib = 0
    while generator.is_running:
        peak_kib = max(peak_kib, costs_of(server.pid).resident_kib)
        await anyio.sleep(_MEMORY_INTERVAL_SECONDS)
    return peak_kib


async def closes(upstream: Server, left: Collection[str]) -> dict[str, int]:
    """When the model server saw the connection of each stream that was left close, in monotonic nanoseconds.

    Raises WrongStream when one stays open.
    """
    closed_ns: dict[str, int] = {}
    async with aiohttp.ClientSession() as session:
        with anyio.move_on_after(_CLOSE_WITHIN_SECONDS):
            while not closed_ns.keys() >= set(left):
                await anyio.sleep(0.1)
                async with session.get(f"{upstream.url}/closed") as response:
                    closed_ns = msgspec.json.decode(await response.read(), type=dict[str, int])
    if still_open := sorted(set(left) - closed_ns.keys()):
        raise WrongStream(f"{len(still_open)} upstream connections outlived their readers: {', '.join(still_open)}")
    return closed_ns


def _plan(target: Target, names: list[str], leave_every_ms: float | None = None) -> Plan:
    return Plan(
        port=target.port,
        calls=target.calls(names),
        open_every_ms=_OPEN_EVERY_MS,
        leave_every_ms=leave_every_ms,
        deadline_seconds=_DEADLINE_SECONDS,
    )


@asynccontextmanager
async def _load_generator(plan: Plan, directory: Path) -> AsyncIterator[ChildProcess]:
    file = directory / "plan.json"
    file.write_bytes(msgspec.json.encode(plan))
    async with child_process([sys.executable, "-m", "bench.streams", file], directory=directory) as generator:
        yield generator


async def _outcome(generator: ChildProcess) -> Outcome:
    status = await generator.exited()
    if status != 0:
        raise WrongStream(f"the load generator failed:\n{generator.output()}")
    outcome = msgspec.json.decode(generator.output().splitlines()[-1], type=Outcome)
    if outcome.faults:
        raise WrongStream(f"{len(outcome.faults)} wrong streams, among them:\n" + "\n".join(outcome.faults[:5]))
    return outcome

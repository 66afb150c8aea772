"""The order of play: A, B, C, A, B, C, so that a drifting machine drifts for all of them."""

import sys
from collections.abc import Collection
from pathlib import Path

from bench.measure import Load, abandoned, loaded, warm_server
from bench.report import Results
from bench.targets import MINI_CHAT, Target, targets
from tests.harness.processes import Server, free_port, http_server


async def play(load: Load, only: Collection[str] | None, kind: str, directory: Path) -> Results:
    """Each server runs alone beside one upstream, in a new process per round."""
    results = Results()
    port = free_port()
    command = [sys.executable, "-m", "bench.upstream", str(port), str(load.interval_ms)]
    async with http_server(command, port=port, ready_path="/readyz", directory=directory / "upstream") as upstream:
        servers = await targets(f"{upstream.url}/v1", directory, only, kind)
        for number in range(load.rounds):
            for target in servers:
                await _round(number, target, load, upstream, results)
    return results


async def _round(number: int, target: Target, load: Load, upstream: Server, results: Results) -> None:
    async with warm_server(target) as server:
        sample = await loaded(target, server, load)
        results.samples.setdefault(target.name, []).append(sample)
        print(f"round {number + 1}  {target.name:<14} {sample.cpu_us_per_delta:6.1f} us/delta", flush=True)
        if target.name == MINI_CHAT:
            results.lags_ms += await abandoned(target, server, load, upstream, number)

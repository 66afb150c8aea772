"""`python -m bench`: what a relayed delta costs, beside two yardsticks measured in the same run."""

import argparse
import os
import platform
import sys
import tempfile
from pathlib import Path

import anyio

from bench import targets
from bench.formats import BY_KIND
from bench.measure import Load
from bench.report import Results, cost_table, gates
from bench.rounds import play

FULL = Load(streams=200, deltas=200, interval_ms=20, leaving_streams=50, rounds=3)
QUICK = Load(streams=100, deltas=60, interval_ms=20, leaving_streams=25, rounds=1)


def main() -> int:
    options = _options()
    load = QUICK if options.quick else FULL
    print(_conditions(load), flush=True)
    with tempfile.TemporaryDirectory(prefix="mini-chat-bench-", ignore_cleanup_errors=True) as directory:
        Path(directory).chmod(0o755)  # the embedded PostgreSQL may run as another user
        results = anyio.run(
            play, load, options.only, options.kind, Path(directory), backend_options={"use_uvloop": True}
        )
    return _show(results, options.kind, enforced=options.gate)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round, about 20 seconds, for orientation")
    parser.add_argument("--gate", action="store_true", help="exit with status 1 when a gate is missed")
    parser.add_argument("--only", action="append", choices=targets.NAMES, help="measure these servers, without gates")
    parser.add_argument("--kind", default="openai_chat", choices=BY_KIND, help="by which mini-chat calls the upstream")
    return parser.parse_args()


def _conditions(load: Load) -> str:
    return (
        f"{load.streams} streams x {load.deltas} deltas, {load.interval_ms} ms apart, median of {load.rounds}; "
        f"CPU time of the server process\nPython {platform.python_version()}, {os.cpu_count()} cores, {_load_average()}"
    )


def _load_average() -> str:
    return "machine load {:.2f} {:.2f} {:.2f}".format(*os.getloadavg())


def _show(results: Results, kind: str, *, enforced: bool) -> int:
    print(f"\n{cost_table(results)}\n")
    lines = gates(results, kind)
    for line in lines:
        print(line)
    print(f"\nafterwards {_load_average()}")
    return int(enforced and not all(line.met for line in lines))


if __name__ == "__main__":
    sys.exit(main())

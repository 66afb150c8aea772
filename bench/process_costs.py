"""What a process tree has cost so far, read from /proc: CPU time and resident memory, PostgreSQL kept apart."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """User plus system time in microseconds since the start; `resident_kib` counts the server alone."""

    cpu_us: float
    postgres_cpu_us: float
    resident_kib: int


class _Process(msgspec.Struct, frozen=True, kw_only=True):
    """`ended_children_ticks` is what children took that have ended and been waited for."""

    pid: int
    parent_pid: int
    name: str
    ticks: int
    ended_children_ticks: int


def costs_of(pid: int) -> Costs:
    """Of the process and its living descendants; a worker counts as the server, anything named postgres does not."""
    family = list(_family(pid))
    postgres = [process for process in family if process.name.startswith("postgres")]
    server = [process for process in family if process not in postgres]
    return Costs(
        cpu_us=_microseconds(process.ticks for process in server),
        postgres_cpu_us=_microseconds(process.ticks + process.ended_children_ticks for process in postgres),
        resident_kib=sum(_resident_kib(process.pid) for process in server),
    )


def _family(pid: int) -> Iterator[_Process]:
    children: dict[int, list[_Process]] = {}
    everyone = {process.pid: process for process in _processes()}
    for process in everyone.values():
        children.setdefault(process.parent_pid, []).append(process)
    waiting = [everyone[pid]]
    while waiting:
        process = waiting.pop()
        yield process
        waiting += children.get(process.pid, [])


def _processes() -> Iterator[_Process]:
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            line = (folder / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        yield _parsed(line)


def _parsed(line: str) -> _Process:
    """proc(5): the name stands in parentheses and may hold blanks, so the numbered fields are counted behind it."""
    pid, _, rest = line.partition(" (")
    name, _, numbers = rest.rpartition(") ")
    fields = numbers.split()
    return _Process(
        pid=int(pid),
        parent_pid=int(fields[1]),
        name=name,
        ticks=int(fields[11]) + int(fields[12]),
        ended_children_ticks=int(fields[13]) + int(fields[14]),
    )


def _microseconds(ticks: Iterable[int]) -> float:
    return sum(ticks) * 1_000_000 / _TICKS_PER_SECOND


def _resident_kib(pid: int) -> int:
    """From smaps_rollup, since the cheaper counters of /proc lag behind by some pages per thread."""
    for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
        if line.startswith("Rss:"):
            return int(line.split()[1])
    return 0

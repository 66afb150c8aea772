"""Rounds of random texts that a seed and a number repeat."""

import time
from random import Random
from typing import Final

import msgspec

from tests.fuzz.targets import CASES, Reading

MAX_CPU_MS: Final = 50
_ATTEMPTS: Final = 3


class Tally(msgspec.Struct):
    read: int = 0
    accepted: int = 0
    worst_ms: float = 0


class TooSlow(Exception):
    """A text cost more CPU time than any may, each time it was read."""


def fuzz_once(seed: int, number: int, tallies: dict[str, Tally]) -> None:
    """One random text for each reader. What goes wrong carries the seed, the number and the text."""
    for name, case in CASES.items():
        text, read = case(Random(f"{seed}/{number}/{name}"))
        try:
            accepted, spent_ms = _timed(read)
        except Exception as error:
            error.add_note(f"{name}: TESTS_SEED={seed}, round {number}, {text!r}")
            raise
        tally = tallies.setdefault(name, Tally())
        tally.read += 1
        tally.accepted += accepted
        tally.worst_ms = max(tally.worst_ms, spent_ms)


def _timed(read: Reading) -> tuple[bool, float]:
    """The fastest of some attempts when the first is slow: a pause of the collector is nobody's fault."""
    spent_ms: list[float] = []
    while not spent_ms or (min(spent_ms) > MAX_CPU_MS and len(spent_ms) < _ATTEMPTS):
        started = time.thread_time()
        accepted = read()
        spent_ms.append((time.thread_time() - started) * 1000)
    if min(spent_ms) > MAX_CPU_MS:
        raise TooSlow(f"{min(spent_ms):.1f} ms")
    return accepted, min(spent_ms)

"""`python -m tests.fuzz [seconds]`: random filters, orders, selections, cursors and answers of model
servers, until something breaks.

TESTS_SEED repeats a run from its first round.
"""

import sys
import time

from tests.fuzz.rounds import Tally, fuzz_once
from tests.harness.chance import seed_for


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    seed, until = seed_for("fuzz"), time.monotonic() + seconds
    tallies: dict[str, Tally] = {}
    number = 0
    while time.monotonic() < until:
        fuzz_once(seed, number, tallies)
        number += 1
    for name, tally in tallies.items():
        sys.stdout.write(
            f"{name:<16} {tally.read} read, {tally.accepted} accepted, worst {tally.worst_ms:.1f} ms CPU\n"
        )


if __name__ == "__main__":
    main()

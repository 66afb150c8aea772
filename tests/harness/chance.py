"""Chance that can be repeated: every seed is printed, and TESTS_SEED sets it."""

import os
import random
import secrets
from typing import Final

_VARIABLE: Final = "TESTS_SEED"


def seed_for(purpose: str) -> int:
    """pytest shows what is printed here beside a failure."""
    seed = int(os.environ.get(_VARIABLE) or secrets.randbelow(2**32))
    print(f"{purpose}: {_VARIABLE}={seed}")  # noqa: T201 - the way to repeat a failure
    return seed


def seeded(purpose: str) -> random.Random:
    return random.Random(seed_for(purpose))

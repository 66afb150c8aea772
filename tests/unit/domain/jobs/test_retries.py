"""Pauses grow, are capped, spread out, and are never shorter than what the other side asked for."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.jobs.retries import Retries

RETRIES = Retries(attempts=20, base=timedelta(seconds=1), longest=timedelta(minutes=10))


@pytest.mark.parametrize(("before", "pause_s"), [(0, 1), (1, 2), (5, 32), (9, 512), (10, 600), (19, 600), (10**6, 600)])
def test_a_pause_doubles_until_it_is_the_longest(before: int, pause_s: int) -> None:
    assert RETRIES.pause(before, chance=1.0) == timedelta(seconds=pause_s)


@given(before=st.integers(0, 100), chance=st.floats(0, 1))
def test_chance_only_shortens_a_pause(before: int, chance: float) -> None:
    assert timedelta(0) <= RETRIES.pause(before, chance) <= RETRIES.pause(before, 1.0)


@pytest.mark.parametrize(("asked_s", "pause_s"), [(5, 5), (0.1, 0.5), (3600, 3600)])
def test_what_was_asked_for_lengthens_it(asked_s: float, pause_s: float) -> None:
    assert RETRIES.pause(0, chance=0.5, asked=timedelta(seconds=asked_s)) == timedelta(seconds=pause_s)


def test_the_last_attempt_is_the_last() -> None:
    assert [RETRIES.spent(before) for before in (0, 19, 20, 21)] == [False, False, True, True]

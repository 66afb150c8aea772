"""The twin against an obvious model, with a clock of our own."""

from collections import deque
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.limits.models import SLOTS, RatePolicy, Use
from infra.local.rate_limiter import LocalRateLimiter

WINDOW_MS = 6_000
SLOT_MS = WINDOW_MS // SLOTS
QUOTA = 5
POLICY = RatePolicy(name="requests", quota=QUOTA, window=timedelta(milliseconds=WINDOW_MS))


class SetClock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def monotonic(self) -> float:
        return self.now_ms / 1000 + 0.0001


class Listed:
    """Every use with its time, looked through from the beginning."""

    def __init__(self) -> None:
        self.uses: deque[tuple[int, int]] = deque()

    def counted(self, now_ms: int) -> list[tuple[int, int]]:
        return [(at, count) for at, count in self.uses if now_ms < (at // SLOT_MS + 1) * SLOT_MS + WINDOW_MS]

    def used(self, now_ms: int) -> int:
        return sum(count for _, count in self.counted(now_ms))

    def grows_in_ms(self, now_ms: int) -> int | None:
        counted = self.counted(now_ms)
        return (counted[0][0] // SLOT_MS + 1) * SLOT_MS + WINDOW_MS - now_ms if counted else None


STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 3 * SLOT_MS), st.integers(0, 2 * WINDOW_MS), st.just(WINDOW_MS)),
        st.integers(0, QUOTA + 1),
        st.booleans(),
    ),
    max_size=60,
)


@given(STEPS)
async def test_it_counts_like_a_list_of_all_uses(steps: list[tuple[int, int, bool]]) -> None:
    clock, listed = SetClock(), Listed()
    limiter = LocalRateLimiter(clock.monotonic)
    for pause_ms, count, gives_back in steps:
        clock.now_ms += pause_ms
        granted = not count or listed.used(clock.now_ms) + count <= QUOTA
        verdict = await limiter.take([Use(POLICY, "ada", count)])
        assert (verdict.permit is not None) == granted
        if granted and count:
            listed.uses.append((clock.now_ms, count))
        (standing,) = verdict.standings
        assert standing.remaining == QUOTA - listed.used(clock.now_ms)
        assert standing.grows_in_ms == listed.grows_in_ms(clock.now_ms)
        if verdict.permit is not None and gives_back and count:
            await limiter.give_back(verdict.permit)
            listed.uses.pop()


@given(st.lists(st.integers(0, WINDOW_MS // 3), max_size=200))
async def test_no_window_wherever_it_begins_holds_more_than_the_quota(pauses_ms: list[int]) -> None:
    clock = SetClock()
    limiter = LocalRateLimiter(clock.monotonic)
    granted_at: list[int] = []
    for pause_ms in pauses_ms:
        clock.now_ms += pause_ms
        if (await limiter.take([Use(POLICY, "ada")])).permit is not None:
            granted_at.append(clock.now_ms)
    for earlier, later in zip(granted_at, granted_at[QUOTA:], strict=False):
        assert later - earlier >= WINDOW_MS


async def test_who_waits_as_long_as_told_is_let_in_and_no_moment_earlier() -> None:
    clock = SetClock()
    limiter = LocalRateLimiter(clock.monotonic)
    for _ in range(QUOTA):
        await limiter.take([Use(POLICY, "ada")])
        clock.now_ms += 137
    refused = await limiter.take([Use(POLICY, "ada")])
    grows_in_ms = refused.standings[0].grows_in_ms
    assert refused.permit is None
    assert grows_in_ms is not None
    clock.now_ms += grows_in_ms - 1
    assert (await limiter.take([Use(POLICY, "ada")])).permit is None
    clock.now_ms += 1
    assert (await limiter.take([Use(POLICY, "ada")])).permit is not None


async def test_thousands_of_holders_do_not_grow_its_memory() -> None:
    limiter = LocalRateLimiter(SetClock().monotonic, capacity=100)
    for number in range(10_000):
        await limiter.take([Use(POLICY, f"2001:db8:{number:x}::/64")])
        await limiter.take([Use(POLICY, "regular", 0)])
        await limiter.take([Use(POLICY, "regular", int(number < QUOTA))])
    assert len(limiter) == 100
    assert (await limiter.take([Use(POLICY, "regular")])).permit is None, "who comes regularly is not forgotten"


async def test_asking_makes_no_window() -> None:
    limiter = LocalRateLimiter(SetClock().monotonic)
    await limiter.take([Use(POLICY, "ada", 0)])
    assert len(limiter) == 0


@pytest.mark.parametrize("window", [timedelta(milliseconds=1), timedelta(milliseconds=59), timedelta(days=1)])
async def test_a_window_of_any_length_ends(window: timedelta) -> None:
    clock = SetClock()
    limiter = LocalRateLimiter(clock.monotonic)
    use = Use(RatePolicy(name="requests", quota=1, window=window), "ada")
    assert (await limiter.take([use])).permit is not None
    assert (await limiter.take([use])).permit is None
    clock.now_ms += 2 * max(SLOTS + 1, window // timedelta(milliseconds=1))
    assert (await limiter.take([use])).permit is not None

"""What every way of counting uses promises; Redis and its in-process twin answer the same."""

from collections import Counter
from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest

from domain.limits.models import SLOTS, Permit, Use, violated
from domain.limits.ports import RateLimiter
from tests.contract.limits.limiters import SHORT, WINDOW, NoTwin, a_policy, a_use, local, over_redis
from tests.harness.eventually import eventually

WINDOW_MS = 60_000
SLOT_MS = WINDOW_MS // SLOTS


@pytest.fixture(params=["local", pytest.param("redis", marks=pytest.mark.redis)])
async def limiter(request: pytest.FixtureRequest) -> AsyncIterator[RateLimiter]:
    if request.param == "local":
        yield local()
        return
    server = request.getfixturevalue("redis_server")
    async with over_redis(server.url, NoTwin()) as limiter:  # type: ignore[arg-type]
        yield limiter


async def taken(limiter: RateLimiter, *uses: Use) -> Permit:
    verdict = await limiter.take(uses)
    assert verdict.permit is not None
    return verdict.permit


async def left(limiter: RateLimiter, use: Use) -> int:
    verdict = await limiter.take([Use(use.policy, use.holder, 0)])
    return verdict.standings[0].remaining


async def test_a_quota_is_used_up_one_by_one_and_then_refused(limiter: RateLimiter) -> None:
    use = a_use(a_policy(3))
    verdicts = [await limiter.take([use]) for _ in range(5)]
    assert [verdict.permit is not None for verdict in verdicts] == [True, True, True, False, False]
    assert [verdict.standings[0].remaining for verdict in verdicts] == [2, 1, 0, 0, 0]


async def test_a_refusal_says_when_there_will_be_room(limiter: RateLimiter) -> None:
    use = a_use(a_policy(1))
    first = await limiter.take([use])
    refused = await limiter.take([use])
    assert [standing.policy.name for standing in violated([use], refused.standings)] == ["requests"]
    for verdict in (first, refused):
        grows_in_ms = verdict.standings[0].grows_in_ms
        assert grows_in_ms is not None
        assert WINDOW_MS - SLOT_MS < grows_in_ms <= WINDOW_MS + SLOT_MS


async def test_who_has_used_nothing_has_everything_and_nothing_grows(limiter: RateLimiter) -> None:
    (standing,) = (await limiter.take([a_use(a_policy(7), 0)])).standings
    assert (standing.remaining, standing.grows_in_ms) == (7, None)


async def test_asking_what_is_left_uses_nothing(limiter: RateLimiter) -> None:
    use = a_use(a_policy(1))
    for _ in range(3):
        assert await left(limiter, use) == 1
    await taken(limiter, use)
    verdict = await limiter.take([Use(use.policy, use.holder, 0)])
    assert verdict.permit is not None
    assert verdict.standings[0].remaining == 0


async def test_all_uses_of_one_call_are_counted_or_none(limiter: RateLimiter) -> None:
    wide, narrow = a_use(a_policy(9, "sends")), a_use(a_policy(1, "tenant-sends"))
    await taken(limiter, wide, narrow)
    refused = await limiter.take([wide, narrow])
    assert refused.permit is None
    assert [standing.policy.name for standing in violated([wide, narrow], refused.standings)] == ["tenant-sends"]
    assert await left(limiter, wide) == 8


async def test_two_policies_of_one_holder_and_two_holders_of_one_policy_are_apart(limiter: RateLimiter) -> None:
    holder = uuid4().hex
    sends, requests = a_policy(1, "sends"), a_policy(1, "requests")
    await taken(limiter, a_use(sends, holder=holder))
    await taken(limiter, a_use(requests, holder=holder))
    await taken(limiter, a_use(sends))


async def test_a_use_that_came_to_nothing_is_given_back(limiter: RateLimiter) -> None:
    user, tenant = a_use(a_policy(1, "sends")), a_use(a_policy(2, "tenant-sends"))
    permit = await taken(limiter, user, tenant)
    await limiter.give_back(permit)
    assert [await left(limiter, use) for use in (user, tenant)] == [1, 2]
    await taken(limiter, user, tenant)


async def test_what_is_given_back_twice_is_given_back_once(limiter: RateLimiter) -> None:
    use = a_use(a_policy(2))
    permit = await taken(limiter, use)
    for _ in range(3):
        await limiter.give_back(permit)
    assert await left(limiter, use) == 2


async def test_a_use_leaves_the_window_and_not_before(limiter: RateLimiter) -> None:
    use = a_use(a_policy(2, window=SHORT))
    await taken(limiter, use)
    before = anyio.current_time()
    await taken(limiter, use)

    async def there_is_room() -> bool:
        return (await limiter.take([use, use])).permit is not None

    await eventually(there_is_room)
    assert anyio.current_time() - before >= SHORT.total_seconds()


async def test_many_at_once_share_one_quota_exactly(limiter: RateLimiter) -> None:
    use = a_use(a_policy(10))
    told: Counter[bool] = Counter()

    async def ask() -> None:
        told[(await limiter.take([use])).permit is not None] += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(60):
            tasks.start_soon(ask)
    assert told == {True: 10, False: 50}


async def test_a_smaller_quota_holds_at_once_for_what_was_used_under_a_larger_one(limiter: RateLimiter) -> None:
    use = a_use(a_policy(5))
    for _ in range(4):
        await taken(limiter, use)
    smaller = Use(a_policy(2, window=WINDOW), use.holder)
    verdict = await limiter.take([smaller])
    assert verdict.permit is None
    assert verdict.standings[0].remaining == 0

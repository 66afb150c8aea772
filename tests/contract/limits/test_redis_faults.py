"""Redis is a place to count in, and nothing depends on it."""

from datetime import timedelta

import pytest
from redis.asyncio import Redis

from tests.contract.limits.limiters import NoTwin, a_policy, a_use, local, over_redis
from tests.harness.redis import RedisServer

QUICK = timedelta(milliseconds=100)

pytestmark = pytest.mark.redis


async def test_two_processes_share_a_quota(redis_server: RedisServer) -> None:
    use = a_use(a_policy(3))
    async with (
        over_redis(redis_server.url, NoTwin()) as one,  # type: ignore[arg-type]
        over_redis(redis_server.url, NoTwin()) as other,  # type: ignore[arg-type]
    ):
        verdicts = [await limiter.take([use]) for _ in range(3) for limiter in (one, other)]
    assert [verdict.standings[0].remaining for verdict in verdicts] == [2, 1, 0, 0, 0, 0]
    assert sum(verdict.permit is not None for verdict in verdicts) == 3


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_without_redis_each_process_counts_for_itself(own_redis: RedisServer, fault: str) -> None:
    use = a_use(a_policy(2))
    async with over_redis(own_redis.url, local(), QUICK) as one, over_redis(own_redis.url, local(), QUICK) as other:
        shared = await one.take([use])
        own_redis.kill() if fault == "kill" else own_redis.freeze()
        for limiter in (one, other):
            alone = [await limiter.take([use]) for _ in range(3)]
            assert [verdict.permit is not None for verdict in alone] == [True, True, False]
            assert alone[0].permit is not None
            assert not alone[0].permit.is_shared
            await limiter.give_back(alone[0].permit)
            assert (await limiter.take([use])).permit is not None
        assert shared.permit is not None
        await one.give_back(shared.permit)
        if fault == "freeze":
            own_redis.thaw()


async def test_a_redis_that_was_emptied_forgives_and_knows_the_script_again(own_redis: RedisServer) -> None:
    use = a_use(a_policy(1))
    async with over_redis(own_redis.url, NoTwin()) as limiter:  # type: ignore[arg-type]
        permit = (await limiter.take([use])).permit
        assert permit is not None
        async with Redis.from_url(own_redis.url) as redis:
            await redis.flushall()
            await redis.script_flush()
            await limiter.give_back(permit)
            assert await redis.dbsize() == 0
        assert (await limiter.take([use])).permit is not None
        assert (await limiter.take([use])).permit is None


async def test_what_redis_keeps_ends_by_itself_and_names_nobody(own_redis: RedisServer) -> None:
    use = a_use(a_policy(5), holder="{tenant}:digest")
    async with over_redis(own_redis.url, NoTwin()) as limiter:  # type: ignore[arg-type]
        await limiter.take([use])
        await limiter.take([a_use(a_policy(5), 0)])
    async with Redis.from_url(own_redis.url) as redis:
        assert await redis.keys("*") == [b"mini_chat:limit:{tenant}:digest:requests"]
        ends_in_ms = await redis.pttl("mini_chat:limit:{tenant}:digest:requests")
    assert 60_000 < ends_in_ms <= 62_000


async def test_counts_from_before_the_clock_was_set_back_do_not_stay(own_redis: RedisServer) -> None:
    use = a_use(a_policy(1), holder="{tenant}")
    async with Redis.from_url(own_redis.url) as redis:
        await redis.hset("mini_chat:limit:{tenant}:requests", "99999999999", "1")
        async with over_redis(own_redis.url, NoTwin()) as limiter:  # type: ignore[arg-type]
            assert (await limiter.take([use])).permit is not None
        assert await redis.hlen("mini_chat:limit:{tenant}:requests") == 1

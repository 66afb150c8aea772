"""Redis down, slow, frozen, flushed or restarted costs messages and time, and nothing else."""

import time
from datetime import timedelta
from typing import Final
from uuid import uuid4

import anyio
import pytest
from redis.asyncio import Redis

from api.rest.health import Health
from app.messaging import messaging
from app.settings import RedisSettings
from domain.clock import SystemClock
from domain.ids import OwnerId
from domain.telemetry.ports import SilentTelemetry
from infra.redis.client import CALLS_AT_ONCE, RedisClient, RedisUnavailable
from tests.contract.bus.processes import RECONNECTED_WITHIN_S, TIMEOUT, Process, a_stop, over_redis
from tests.harness.eventually import eventually, until
from tests.harness.redis import RedisServer

_AT_ONCE_S: Final = 0.02


async def _tells_again(one: Process, other: Process) -> None:
    """Told until heard: the first ones may get lost."""
    message = a_stop()

    async def heard() -> bool:
        await one.bus.tell(other.owner, message)
        return message in other.heard

    await eventually(heard, within_s=RECONNECTED_WITHIN_S)


async def test_a_restarted_server_is_found_again(own_redis: RedisServer) -> None:
    async with over_redis(own_redis.url) as one, over_redis(own_redis.url) as other:
        own_redis.kill()
        await until(lambda: not other.bus.healthy)
        await one.bus.tell(other.owner, a_stop())
        own_redis.start()
        await until(lambda: one.bus.healthy and other.bus.healthy, within_s=RECONNECTED_WITHIN_S)
        await _tells_again(one, other)


async def test_a_server_that_comes_later_is_found(own_redis: RedisServer) -> None:
    own_redis.kill()
    async with (
        over_redis(own_redis.url, listening=False) as one,
        over_redis(own_redis.url, listening=False) as other,
    ):
        await one.bus.tell(other.owner, a_stop())
        assert not other.bus.healthy
        own_redis.start()
        await until(lambda: one.bus.healthy and other.bus.healthy, within_s=RECONNECTED_WITHIN_S)
        await _tells_again(one, other)


async def test_a_frozen_server_is_noticed_though_nobody_says_a_word(own_redis: RedisServer) -> None:
    async with over_redis(own_redis.url) as one, over_redis(own_redis.url) as other:
        own_redis.freeze()
        await until(lambda: not one.bus.healthy and not other.bus.healthy)
        own_redis.thaw()
        await until(lambda: one.bus.healthy and other.bus.healthy, within_s=RECONNECTED_WITHIN_S)
        await _tells_again(one, other)


async def test_a_flushed_server_loses_no_listener(own_redis: RedisServer) -> None:
    async with (
        over_redis(own_redis.url) as one,
        over_redis(own_redis.url) as other,
        Redis.from_url(own_redis.url) as admin,
    ):
        await admin.flushall()
        message = a_stop()
        await one.bus.tell(other.owner, message)
        await other.hears(message)


async def test_a_paused_server_delays_nobody_longer_than_the_timeout(own_redis: RedisServer) -> None:
    async with (
        over_redis(own_redis.url) as one,
        over_redis(own_redis.url) as other,
        Redis.from_url(own_redis.url) as admin,
    ):
        await admin.client_pause(1_500)
        before = time.monotonic()
        await one.bus.tell(other.owner, a_stop())
        assert time.monotonic() - before < TIMEOUT.total_seconds() * 3
        await _tells_again(one, other)


async def test_garbage_on_the_channel_is_passed_over(redis_server: RedisServer) -> None:
    async with (
        over_redis(redis_server.url) as one,
        over_redis(redis_server.url) as other,
        Redis.from_url(redis_server.url) as admin,
    ):
        deep = b'{"type":"stop_turn","of_tomorrow":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
        wrong = (
            b"",
            b"\xff",
            b"{}",
            b'{"type":"of_tomorrow"}',
            b'{"type":"stop_turn","epoch":1}',
            b'{"type":"\xff"}',
            deep,
        )
        for garbage in wrong:
            assert await admin.publish(f"mini_chat:owner:{other.owner}", garbage) == 1
        message = a_stop()
        await one.bus.tell(other.owner, message)
        await other.hears(message)
        assert other.heard == [message]


async def test_while_the_server_is_down_calls_fail_at_once_and_one_a_second_probes(own_redis: RedisServer) -> None:
    now = 0.0
    tried = 0

    async def work(redis: Redis) -> None:
        nonlocal tried
        tried += 1
        await redis.ping()

    async with RedisClient(own_redis.url, TIMEOUT, lambda: now, SilentTelemetry()) as client:
        await client.call("test", work)
        own_redis.freeze()
        with pytest.raises(RedisUnavailable):
            await client.call("test", work)
        assert tried == 2
        with anyio.fail_after(_AT_ONCE_S * 5):
            for _ in range(5):
                with pytest.raises(RedisUnavailable):
                    await client.call("test", work)
        assert tried == 2
        now = 1.0
        async with anyio.create_task_group() as tasks:
            for _ in range(5):
                tasks.start_soon(_refused, client, work)
        assert tried == 3
        own_redis.thaw()
        now = 2.0
        await client.call("test", work)
        await client.call("test", work)
        assert tried == 5


async def _refused(client: RedisClient, work: object) -> None:
    with pytest.raises(RedisUnavailable):
        await client.call("test", work)  # type: ignore[arg-type]


async def test_an_interrupted_call_leaves_neither_its_answer_nor_a_connection_behind(
    own_redis: RedisServer,
) -> None:
    async with RedisClient(own_redis.url, timedelta(seconds=2), SystemClock().monotonic, SilentTelemetry()) as client:
        wrong = list[bytes | str]()

        async def echo(number: int) -> None:
            asked = b"%d" % number
            with anyio.move_on_after(0.000_05 * (number % 20) if number % 2 else 2):
                said = await client.call("echo", lambda redis: redis.echo(asked))
                if said != asked:
                    wrong.append(said)

        for start in range(0, 2_000, 50):
            async with anyio.create_task_group() as tasks:
                for number in range(start, start + 50):
                    tasks.start_soon(echo, number)
        assert wrong == []
        connections = await client.call("list", lambda redis: redis.client_list())
        assert len(connections) <= CALLS_AT_ONCE


async def test_health_is_degraded_without_the_server_and_never_failed(own_redis: RedisServer) -> None:
    settings = RedisSettings(url=own_redis.url, timeout=TIMEOUT)
    messages = messaging(settings, OwnerId(uuid4()), SystemClock(), SilentTelemetry())
    check = messages.checks["redis"]
    async with messages.running():

        async def is_ok() -> bool:
            return await check() is Health.OK

        await eventually(is_ok)
        own_redis.kill()
        assert await check() is Health.DEGRADED
        own_redis.start()
        await eventually(is_ok)

"""Redis is down, killed or frozen while turns run: streams go on, cancels still arrive, and Redis is found again."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import pytest

from tests.harness.auditor import audit
from tests.harness.client import Client, calling
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.processes import mini_chat
from tests.harness.redis import RedisServer
from tests.harness.service import serving, settings

MODELS: Final = {"endless": "mock-itl20-len100000", "quick": "mock-len5"}
ARRIVES_WITHIN_S: Final = 5
NOTICEABLE_S: Final = 1

pytestmark = pytest.mark.timeout(60)


@asynccontextmanager
async def two_processes(folder: Path, database: Database, redis: RedisServer) -> AsyncIterator[tuple[Client, Client]]:
    """The beat is put off, since it would bring word of a cancel as well."""
    env = settings(database, MODELS) | {
        "MINI_CHAT_REDIS_URL": redis.url,
        "MINI_CHAT_TURN_LEASE": "90s",
        "MINI_CHAT_TURN_HEARTBEAT": "30s",
        "MINI_CHAT_TURN_BLIND_LIMIT": "90s",
    }
    async with AsyncExitStack() as stack:
        one, other = [
            await stack.enter_async_context(calling(await stack.enter_async_context(mini_chat(folder / name, env=env))))
            for name in ("one", "other")
        ]
        yield one, other
        await audit(database.superuser_dsn, [*one.streams, *other.streams])


async def redis_is(client: Client, health: str) -> None:
    """Ready it is in any case."""

    async def shows() -> bool:
        readiness = await client.ask("GET", "/readyz")
        assert (readiness.status, readiness.json()["status"]) == (200, "ready")
        return bool(readiness.json()["checks"]["redis"] == health)

    await eventually(shows)


async def cancelled_from(other: Client, one: Client) -> None:
    """A turn of one process is cancelled through another."""
    chat_id = await one.chat(model="endless")
    async with one.stream(chat_id) as stream:
        await stream.first("delta", 3)
        with anyio.fail_after(ARRIVES_WITHIN_S):
            answer = await other.ask("POST", f"chats/{chat_id}/turns/latest/cancel")
        assert answer.json()["state"] == "cancelled"
        terminal = await stream.end()
    assert terminal.data["code"] == "turn_cancelled"


async def answers_at_once(client: Client) -> None:
    before = time.monotonic()
    stream = await client.told(await client.chat(model="quick"))
    assert stream.terminal
    assert stream.terminal.event == "done"
    assert time.monotonic() - before < NOTICEABLE_S


async def test_a_server_starts_without_its_redis_and_finds_it_later(
    tmp_path: Path, database: Database, own_redis: RedisServer
) -> None:
    own_redis.kill()
    async with two_processes(tmp_path, database, own_redis) as (one, other):
        await redis_is(one, "degraded")
        await answers_at_once(one)
        await cancelled_from(other, one)
        own_redis.start()
        await redis_is(one, "ok")
        await redis_is(other, "ok")
        await cancelled_from(other, one)


@pytest.mark.parametrize("fault", ["kill", "freeze"])
async def test_redis_that_goes_in_mid_turn_costs_nothing_but_speed(
    tmp_path: Path, database: Database, own_redis: RedisServer, fault: str
) -> None:
    async with two_processes(tmp_path, database, own_redis) as (one, other):
        await redis_is(one, "ok")
        await redis_is(other, "ok")
        async with one.stream(model="endless") as going_on:
            await going_on.first("delta", 3)
            own_redis.kill() if fault == "kill" else own_redis.freeze()
            await cancelled_from(other, one)
            await redis_is(one, "degraded")
            await answers_at_once(one)
            seen = len(going_on.frames)
            with anyio.fail_after(5):
                await going_on.first("delta", seen + 10)
            own_redis.start() if fault == "kill" else own_redis.thaw()
            await redis_is(one, "ok")
            await redis_is(other, "ok")
            await cancelled_from(other, one)
            assert going_on.terminal is None


async def test_a_server_stops_in_good_order_while_its_redis_is_frozen(
    tmp_path: Path, database: Database, own_redis: RedisServer
) -> None:
    env = settings(database, MODELS) | {"MINI_CHAT_REDIS_URL": own_redis.url}
    async with serving(tmp_path, database, env) as service, service.caller() as client:
        await redis_is(client, "ok")
        own_redis.freeze()
        await answers_at_once(client)

"""With Redis between them, what one server's turn says is told by another while it is said."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.harness.auditor import audit
from tests.harness.client import Client, calling
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.processes import mini_chat
from tests.harness.redis import RedisServer
from tests.harness.service import settings
from tests.harness.sse_client import EventStream, shown

MODELS = {"quick": "mock-itl5-len400", "slow": "mock-itl20-len100000"}
pytestmark = [pytest.mark.redis, pytest.mark.timeout(120)]


@asynccontextmanager
async def two_servers(folder: Path, database: Database, redis: RedisServer) -> AsyncIterator[tuple[Client, Client]]:
    env = settings(database, MODELS) | {
        "MINI_CHAT_REDIS_URL": redis.url,
        "MINI_CHAT_STREAMING_FOLLOW_INTERVAL": "200ms",
    }
    async with (
        mini_chat(folder / "owner", env=env) as owner,
        mini_chat(folder / "other", env=env) as other,
        calling(owner) as here,
        calling(other) as elsewhere,
    ):
        for client in (here, elsewhere):
            await hears_others(client)
        yield here, elsewhere
        await audit(database.superuser_dsn, here.streams)


async def hears_others(client: Client) -> None:
    async def checks() -> bool:
        ready: dict[str, dict[str, str]] = (await client.ask("GET", "/readyz")).json()
        return ready["checks"]["redis"] == "ok"

    await eventually(checks)


async def cut_off(client: Client, chat_id: str, deltas: int) -> EventStream:
    async with client.stream(chat_id, on_disconnect="continue") as stream:
        await stream.first("delta", deltas)
        stream.reset()
    return stream


async def test_a_stream_cut_at_delta_100_is_resumed_live_at_another_server(
    tmp_path: Path, shared_database: Database, redis_server: RedisServer
) -> None:
    async with two_servers(tmp_path, shared_database, redis_server) as (here, elsewhere):
        chat_id = await here.chat(model="quick")
        before = await cut_off(here, chat_id, 100)
        async with (
            elsewhere.follow(chat_id, position=before.newest) as after,
            elsewhere.follow(chat_id) as whole,
        ):
            with anyio.fail_after(20):
                await after.end()
                await whole.end()
        _, answer = await here.messages(chat_id)
    assert not after.is_whole
    assert shown([before, after]) == whole.text == answer["content"]
    assert [frame.event for frame in after.frames].count("delta") == 400 - 100 - (before.newest - 101)
    assert [frame.number for frame in whole.frames] == list(range(1, 403))


async def test_a_reader_elsewhere_is_a_reader_of_the_turn(
    tmp_path: Path, shared_database: Database, redis_server: RedisServer
) -> None:
    async with two_servers(tmp_path, shared_database, redis_server) as (here, elsewhere):
        chat_id = await here.chat(model="slow")
        async with here.stream(chat_id) as first, elsewhere.follow(chat_id, position=0) as second:
            await second.first("delta", 5)
            first.reset()
            await second.first("delta", len(second.frames) + 20)


async def test_redis_that_is_lost_in_the_middle_costs_time_and_no_text(
    tmp_path: Path, shared_database: Database, own_redis: RedisServer
) -> None:
    async with two_servers(tmp_path, shared_database, own_redis) as (here, elsewhere):
        chat_id = await here.chat(model="quick")
        before = await cut_off(here, chat_id, 100)
        bodies = [before]
        with anyio.fail_after(30):
            async with elsewhere.follow(chat_id, position=before.newest) as stream:
                await stream.first("delta", 5)
                own_redis.kill()
                await stream.body()
            bodies.append(stream)
            while bodies[-1].terminal is None:
                async with elsewhere.follow(chat_id, position=bodies[-1].newest) as stream:
                    await stream.body()
                bodies.append(stream)
        _, answer = await here.messages(chat_id)
    assert shown(bodies) == answer["content"]

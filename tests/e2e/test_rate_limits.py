"""One budget for several servers, over real sockets (api.md 1.4)."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import pytest

from tests.harness.bridge import Answer
from tests.harness.client import Client, calling
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.processes import mini_chat
from tests.harness.redis import RedisServer
from tests.harness.service import settings
from tests.harness.sse_client import EventStream
from tests.harness.structured_fields import items_of

MODELS: Final = {"quick": "mock-len3", "endless": "mock-itl20-len100000"}
QUOTA: Final = 10
PATIENT: Final = {"MINI_CHAT_REDIS_TIMEOUT": "5s"}
"""A busy machine must not look like a Redis that is gone."""

pytestmark = pytest.mark.timeout(120)


@asynccontextmanager
async def servers(number: int, folder: Path, database: Database, env: Mapping[str, str]) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        homes = [folder / str(index) for index in range(number)]
        yield [
            await stack.enter_async_context(
                calling(await stack.enter_async_context(mini_chat(home, env=settings(database, MODELS) | dict(env))))
            )
            for home in homes
        ]


async def all_at_once(clients: list[Client], times: int, call: Callable[[Client], Awaitable[int]]) -> Counter[int]:
    statuses: Counter[int] = Counter()

    async def one(client: Client) -> None:
        statuses[await call(client)] += 1

    async with anyio.create_task_group() as tasks:
        for _ in range(times):
            for client in clients:
                tasks.start_soon(one, client)
    return statuses


async def send(client: Client) -> int:
    told = await client.attempt(content="Hello", model="quick")
    return 200 if isinstance(told, EventStream) else told.status


async def look(client: Client) -> int:
    return (await client.ask("GET", "models")).status


async def forgiven(client: Client) -> bool:
    return await look(client) == 200


def left(answer: Answer) -> dict[str, int]:
    return {name: members["r"] for name, members in items_of(answer.header("RateLimit") or "")}


@pytest.mark.redis
async def test_three_servers_share_one_budget_exactly(
    tmp_path: Path, database: Database, redis_server: RedisServer
) -> None:
    env = PATIENT | {
        "MINI_CHAT_REDIS_URL": redis_server.url,
        "MINI_CHAT_LIMITS_USER_SENDS_PER_MINUTE": str(QUOTA),
        "MINI_CHAT_LIMITS_USER_REQUESTS_PER_MINUTE": "100",
    }
    async with servers(3, tmp_path, database, env) as clients:
        assert await all_at_once(clients, 14, send) == {200: QUOTA, 429: 3 * 14 - QUOTA}
        refused = await clients[0].attempt(content="Hello", model="quick")
        assert isinstance(refused, Answer)
        assert refused.json()["violated_policies"] == ["sends"]
        assert left(refused) == {"requests": 100 - 3 * 14 - 1, "sends": 0}
        (_, sends) = [members for _, members in items_of(refused.header("RateLimit") or "")]
        assert 1 <= sends["t"] <= int(refused.header("Retry-After") or 0)
        assert await all_at_once(clients, 30, look) == {200: 57, 429: 33}


@pytest.mark.redis
async def test_redis_that_is_killed_lets_each_server_count_for_itself(
    tmp_path: Path, database: Database, own_redis: RedisServer
) -> None:
    env = PATIENT | {"MINI_CHAT_REDIS_URL": own_redis.url, "MINI_CHAT_LIMITS_USER_REQUESTS_PER_MINUTE": str(QUOTA)}
    async with servers(2, tmp_path, database, env) as clients:
        for client in clients:
            assert await look(client) == 200
        own_redis.kill()
        assert await all_at_once(clients, QUOTA + 5, look) == {200: 2 * QUOTA, 429: 10}
        own_redis.start()

        for client in clients:
            await eventually(partial(forgiven, client))
        here, there = [await client.ask("GET", "models") for client in clients]
        assert left(there)["requests"] == left(here)["requests"] - 1


async def test_three_servers_run_no_more_turns_of_a_user_than_its_cap(tmp_path: Path, database: Database) -> None:
    async with (
        servers(3, tmp_path, database, {"MINI_CHAT_LIMITS_USER_MAX_RUNNING_TURNS": "4"}) as clients,
        anyio.create_task_group() as tasks,
    ):
        statuses: Counter[int] = Counter()
        more_may_run: list[int] = []

        async def hold(client: Client) -> None:
            async with client.opened(model="endless") as response:
                statuses[response.status] += 1
                if response.status == 200:
                    policies = dict(items_of(response.headers["RateLimit-Policy"]))
                    assert policies["active-turns"] == {"q": 4, "qu": "concurrent-requests"}
                    more_may_run.append(dict(items_of(response.headers["RateLimit"]))["active-turns"]["r"])
                    await anyio.sleep_forever()
                assert response.headers["Retry-After"] == "1"

        for _ in range(4):
            for client in clients:
                tasks.start_soon(hold, client)

        async def answered() -> bool:
            return statuses.total() == 12

        await eventually(answered, within_s=30)
        tasks.cancel_scope.cancel()
    assert statuses == {200: 4, 429: 8}
    assert sorted(more_may_run) == [0, 1, 2, 3]

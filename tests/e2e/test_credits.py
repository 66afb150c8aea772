"""Credits over real sockets: what is refused, what is left, what was charged; and one budget for several servers."""

import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import pytest

from tests.harness.auditor import audit
from tests.harness.client import Client, calling
from tests.harness.postgres import Database
from tests.harness.processes import mini_chat
from tests.harness.rows import connected
from tests.harness.service import Service, serving, settings

MODELS: Final = {"quick": "mock-len3", "endless": "mock-itl20-len100000"}
HELLO_MICRO: Final = 113 + 4_096
SERVERS, SENDS, ADMITTED = 3, 200, 10
ROUNDS: Final = int(os.environ.get("TESTS_BUDGET_ROUNDS", "1"))
PATIENT: Final = {"MINI_CHAT_DATABASE_ACQUIRE_TIMEOUT": "20s", "MINI_CHAT_DATABASE_LOCK_TIMEOUT": "10s"}
"""A busy machine must not look like a database that is gone."""

pytestmark = pytest.mark.timeout(60 + 30 * ROUNDS)


async def test_what_a_turn_cost_is_listed_and_counted(service: Service) -> None:
    async with service.caller() as client:
        before = (await client.ask("GET", "quota/status")).json()
        stream = await client.told()
        after = (await client.ask("GET", "quota/status")).json()
        (newest, *_) = (await client.ask("GET", "usage?limit=1")).json()["items"]
        filtered = (await client.ask("GET", "usage?$filter=kind%20eq%20'turn'%20and%20outcome%20eq%20'failed'")).json()
    used = stream.terminal.data["usage"] if stream.terminal else {}
    assert {name: newest[name] for name in ("input_tokens", "output_tokens")} == used
    assert (newest["kind"], newest["outcome"], newest["source"]) == ("turn", "completed", "reported")
    assert newest["credits_micro"] == used["input_tokens"] + used["output_tokens"]
    assert newest["id"] not in {item["id"] for item in filtered["items"]}
    assert [tier["tier"] for tier in after["tiers"]] == ["premium", "total"]
    for old, new in zip(before["tiers"][1]["periods"], after["tiers"][1]["periods"], strict=True):
        assert new["used_credits_micro"] - old["used_credits_micro"] == newest["credits_micro"]
        assert new["remaining_credits_micro"] == new["limit_credits_micro"] - new["used_credits_micro"]


async def test_a_send_without_credits_is_refused_with_the_time_of_their_return(
    tmp_path: Path, database: Database
) -> None:
    env = settings(database, MODELS) | {"MINI_CHAT_QUOTA_TOTAL_DAILY_MICRO": str(HELLO_MICRO - 1)}
    async with serving(tmp_path, database, env) as service, service.caller() as client:
        refused = await client.ask("POST", "chats:send", {"content": "Hello"})
        chats = (await client.ask("GET", "chats")).json()["items"]
    problem = refused.json()
    assert (refused.status, problem["code"], problem["quota_scope"]) == (429, "quota_exceeded", "total:daily")
    assert 0 < problem["retry_after_ms"] <= int(refused.header("Retry-After") or 0) * 1000 <= 86_400_000
    assert chats == []


@asynccontextmanager
async def servers(folder: Path, database: Database) -> AsyncIterator[list[Client]]:
    async with AsyncExitStack() as stack:
        env = settings(database, MODELS) | PATIENT
        started = [await stack.enter_async_context(mini_chat(folder / str(index), env=env)) for index in range(SERVERS)]
        yield [await stack.enter_async_context(calling(server)) for server in started]


async def leave_room(database: Database) -> None:
    """As an administrator does who lets the user have so much more today."""
    async with connected(database.superuser_dsn) as connection:
        await connection.execute(
            """
            INSERT INTO mini_chat.quota_limits (tenant_id, scope, subject_id, total_daily_micro, version, updated_by)
            SELECT tenant_id, 'user', user_id, coalesce(sum(settled_micro), 0) + $1, 1, user_id
            FROM mini_chat.chat_turns GROUP BY tenant_id, user_id
            ON CONFLICT (tenant_id, scope, subject_id) DO UPDATE
            SET total_daily_micro = excluded.total_daily_micro, version = quota_limits.version + 1
            """,
            ADMITTED * HELLO_MICRO,
        )


async def all_at_once(clients: list[Client]) -> tuple[Counter[str], list[str]]:
    outcomes: Counter[str] = Counter()
    chats: list[str] = []

    async def send(client: Client) -> None:
        async with client.opened(model="endless", on_disconnect="continue") as response:
            if response.status == 200:
                chats.append(response.headers["X-Chat-Id"])
            outcomes["admitted" if response.status == 200 else (await response.json())["code"]] += 1

    async with anyio.create_task_group() as senders:
        for number in range(SENDS):
            senders.start_soon(send, clients[number % SERVERS])
    return outcomes, chats


async def test_of_two_hundred_sends_to_three_servers_as_many_are_admitted_as_there_is_room_for(
    tmp_path: Path, database: Database
) -> None:
    """I-33. TESTS_BUDGET_ROUNDS repeats it."""
    async with servers(tmp_path, database) as clients:
        await clients[0].told(model="quick")
        for _ in range(ROUNDS):
            await leave_room(database)
            outcomes, chats = await all_at_once(clients)
            assert outcomes == {"admitted": ADMITTED, "quota_exceeded": SENDS - ADMITTED}
            for chat_id in chats:
                receipt = await clients[0].ask("POST", f"chats/{chat_id}/turns/latest/cancel")
                assert receipt.json()["state"] == "cancelled"
            await audit(database.superuser_dsn, [])

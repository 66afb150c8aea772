"""Titles over real sockets: by themselves, on demand, and when the process that makes one is killed."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness.auditor import audit
from tests.harness.client import Client, calling
from tests.harness.eventually import eventually, until
from tests.harness.operator import Operator
from tests.harness.postgres import Database
from tests.harness.processes import child_process, mini_chat, mini_chat_command
from tests.harness.rows import connected
from tests.harness.service import Service, serving, settings
from tests.harness.upstream import DONE, Action, Reply, Upstream, finish, sse, text, usage

MODELS: Final = {"echo": "mock-echo"}
QUESTION: Final = "When is high tide at Brest?"
BY_MODEL: Final = sse(text('"Tides at Brest."'), finish(), usage(11, 5), DONE)
BY_MODEL_MICRO: Final = 11 + 5
SPENT: Final = "SELECT spent_micro FROM mini_chat.quota_buckets WHERE bucket = 'system'"
NO_JOBS: Final = "SELECT NOT EXISTS (SELECT FROM mini_chat.jobs WHERE entrypoint = 'chat_title')"
QUICK_JOBS: Final = {"MINI_CHAT_JOBS_POLL": "20ms", "MINI_CHAT_JOBS_LEASE": "500ms"}

pytestmark = pytest.mark.timeout(60)


def env_for(database: Database, upstream: Upstream, mode: str = "model") -> dict[str, str]:
    """Answers are echoed at once; titles come from the upstream."""
    return (
        settings(database, MODELS, upstream)
        | QUICK_JOBS
        | {"MINI_CHAT_TITLES_MODE": mode, "MINI_CHAT_TITLES_MODEL": "remote"}
    )


@asynccontextmanager
async def a_service(
    folder: Path, database: Database, upstream: Upstream, mode: str = "model"
) -> AsyncIterator[Service]:
    async with serving(folder, database, env_for(database, upstream, mode)) as service:
        yield service


@pytest.fixture
async def namer() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        upstream.reply(BY_MODEL)
        yield upstream


async def title_of(client: Client, chat_id: str) -> str | None:
    chat: dict[str, Any] = (await client.ask("GET", f"chats/{chat_id}")).json()
    return chat.get("title")


async def named(client: Client, chat_id: str, title: str, within_s: float = 5) -> None:
    async def is_named() -> bool:
        return await title_of(client, chat_id) == title

    await eventually(is_named, within_s=within_s)


async def the(database: Database, query: str) -> Any:
    async with connected(database.superuser_dsn) as connection:
        return await connection.fetchval(query)


async def test_a_chat_is_named_at_once_and_better_a_moment_later(
    tmp_path: Path, database: Database, namer: Upstream
) -> None:
    async with a_service(tmp_path, database, namer) as service, service.caller() as client:
        chat_id = await client.chat()
        async with client.stream(chat_id, QUESTION) as stream:
            await stream.first("stream_started", 1)
            assert await title_of(client, chat_id) == QUESTION
            await stream.end()
        await named(client, chat_id, "Tides at Brest")
        (listed,) = (await client.ask("GET", "chats")).json()["items"]
        assert listed["title"] == "Tides at Brest"
        await client.told(chat_id, "And at night?")
        await eventually(lambda: the(database, NO_JOBS))
    (call,) = namer.exchanges
    asked = json.loads(call.body)
    assert asked["messages"][-1]["role"] == "user"
    assert json.loads(asked["messages"][-1]["content"]) == [
        {"role": "user", "text": QUESTION},
        {"role": "assistant", "text": QUESTION},
    ]
    assert await the(database, SPENT) == BY_MODEL_MICRO


async def test_a_title_on_demand_needs_no_body_and_takes_the_place_of_any(
    tmp_path: Path, database: Database, namer: Upstream
) -> None:
    async with a_service(tmp_path, database, namer, mode="off") as service, service.caller() as client:
        chat_id = await client.chat(title="Mine")
        await client.told(chat_id, QUESTION)
        path = f"chats/{chat_id}/generate-title"
        dry = await client.ask("POST", path, {"dry_run": True})
        assert (dry.status, dry.json()) == (200, {"title": "Tides at Brest", "source": "model"})
        assert await title_of(client, chat_id) == "Mine"
        made = await client.ask("POST", path)
        assert (made.status, made.json()) == (200, dry.json())
        assert await title_of(client, chat_id) == "Tides at Brest"
        assert (await client.ask("GET", "usage?$filter=kind%20ne%20'turn'")).json()["items"] == []


async def test_what_cannot_be_named_is_told_in_the_documented_order(
    tmp_path: Path, database: Database, namer: Upstream
) -> None:
    async with a_service(tmp_path, database, namer, mode="off") as service, service.caller() as client:
        operator = Operator(client.under(await service.token("operations", "olga", "admin")))
        empty, chat_id = await client.chat(), await client.chat()
        await client.told(chat_id, QUESTION)

        async def refused(path: str, body: Any = None, who: Client = client) -> tuple[int, str]:
            answer = await who.ask("POST", f"chats/{path}/generate-title", body)
            return answer.status, answer.json()["code"]

        nowhere = "0198c0de-79f0-7a01-9d00-1b2c3d4e5f60"
        stranger = client.under(await service.token("acme", "eve", "user"))
        off = await operator.switch("global")
        assert await refused(nowhere, {"dry_run": 1}) == (400, "invalid_request")
        assert await refused(nowhere) == (404, "chat_not_found")
        assert await refused(chat_id, who=stranger) == (404, "chat_not_found")
        assert await refused(empty) == (400, "chat_empty")
        assert await refused(chat_id) == (503, "generation_disabled")
        await operator.clear(off)
        off = await operator.switch("feature", "titles")
        fallback = await client.ask("POST", f"chats/{chat_id}/generate-title")
        assert (fallback.status, fallback.json()) == (200, {"title": QUESTION, "source": "fallback"})
    assert namer.exchanges == []


async def test_a_server_that_is_killed_during_the_call_leaves_its_chat_to_the_next(
    tmp_path: Path, database: Database, namer: Upstream
) -> None:
    """The call that nobody waited for stays charged as it was estimated."""
    namer.reply(Reply(before_head=[Action.HANG]))
    env = env_for(database, namer)
    async with mini_chat(tmp_path, env=env) as server, calling(server) as client:
        chat_id = await client.chat()
        await client.told(chat_id, QUESTION)
        await until(lambda: len(namer.exchanges) == 1)
        estimate_micro = await the(database, SPENT)
        server.signal(signal.SIGKILL)
        await server.exited()
    namer.reply(BY_MODEL)
    async with serving(tmp_path, database, env) as service, service.caller() as client:
        assert await title_of(client, chat_id) == QUESTION
        await named(client, chat_id, "Tides at Brest", within_s=15)
        await eventually(lambda: the(database, NO_JOBS))
    assert len(namer.exchanges) == 2
    assert await the(database, SPENT) == estimate_micro + BY_MODEL_MICRO


async def test_a_worker_beside_the_servers_names_chats(tmp_path: Path, database: Database, namer: Upstream) -> None:
    env = env_for(database, namer)
    without_jobs = env | {"MINI_CHAT_JOBS_EMBEDDED": "false"}
    async with serving(tmp_path / "server", database, without_jobs) as service, service.caller() as client:
        chat_id = await client.chat()
        await client.told(chat_id, QUESTION)
        command = (mini_chat_command(), "worker")
        async with child_process(command, directory=tmp_path / "worker", env=env) as worker:
            await worker.printed("doing jobs")
            await named(client, chat_id, "Tides at Brest", within_s=10)
            await eventually(lambda: the(database, NO_JOBS))
    await audit(database.superuser_dsn, [])

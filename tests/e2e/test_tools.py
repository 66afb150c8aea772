"""Tools over sockets: what a stream shows of them, what ends it, and what a day without calls answers."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.harness.client import Client
from tests.harness.operator import Operator
from tests.harness.postgres import Database
from tests.harness.service import Service, serving, settings
from tests.harness.sse_client import EventStream

SEARCHING: Final[dict[str, Any]] = {"web_search": {"enabled": True}}
ABLE: Final = [
    {"id": name, "provider_id": "scripted", "provider_model_id": script, "tool_support": {"web_search": True}}
    for name, script in {"once": "mock-len3-tool1-cite1", "eager": "mock-len3-tool3"}.items()
]
CALL: Final = [
    {"phase": "start", "name": "web_search", "details": {}},
    {"phase": "done", "name": "web_search", "details": {}},
]

pytestmark = pytest.mark.timeout(60)


@asynccontextmanager
async def a_service(folder: Path, database: Database, **env: str) -> AsyncIterator[tuple[Service, Client]]:
    """One search a day is all there is, unless `env` says otherwise."""
    common = settings(database, {"plain": "mock-len3", "endless": "mock-itl20-len100000"}, None, *ABLE) | {
        "MINI_CHAT_QUOTA_WEB_SEARCH_DAILY": "1"
    }
    async with serving(folder, database, common | env) as service, service.caller() as client:
        yield service, client


def tools_in(stream: EventStream) -> list[dict[str, Any]]:
    return [frame.data for frame in stream.frames if frame.event == "tool"]


async def test_a_search_shows_as_events_and_its_sources_are_stored(tmp_path: Path, database: Database) -> None:
    async with a_service(tmp_path, database) as (_, client):
        chat_id = await client.chat(model="once")
        stream = await client.told(chat_id, **SEARCHING)
        _, answer = await client.messages(chat_id)
    assert tools_in(stream) == CALL
    assert [frame.event for frame in stream.frames][:3] == ["stream_started", "tool", "tool"]
    (cited,) = (frame.data["items"] for frame in stream.frames if frame.event == "citations")
    assert answer["citations"] == cited
    assert (cited[0]["source"], cited[0]["url"]) == ("web", "https://example.invalid/mock/1")


async def test_one_call_too_many_ends_the_stream_and_what_it_said_can_be_read(
    tmp_path: Path, database: Database
) -> None:
    async with a_service(tmp_path, database, MINI_CHAT_QUOTA_WEB_SEARCH_DAILY="75") as (_, client):
        chat_id = await client.chat(model="eager")
        stream = await client.told(chat_id, **SEARCHING)
        turn = (await client.ask("GET", f"chats/{chat_id}/turns/latest")).json()
        unary = await client.ask("POST", f"chats/{chat_id}/messages", {"content": "Hello", **SEARCHING})
        again = await client.told(chat_id)
    assert tools_in(stream) == CALL * 2
    end = stream.terminal
    assert end is not None
    assert (end.event, end.data["code"], end.data["retryable"]) == ("error", "web_search_calls_exceeded", False)
    assert (turn["state"], turn["error_code"]) == ("error", "web_search_calls_exceeded")
    problem = unary.json()
    assert (unary.status, problem["code"], problem["chat_id"]) == (400, "web_search_calls_exceeded", chat_id)
    assert (again.terminal.event if again.terminal else None) == "done"


async def test_a_day_without_searches_refuses_those_who_would_search_until_midnight(
    tmp_path: Path, database: Database
) -> None:
    async with a_service(tmp_path, database) as (_, client):
        chat_id = await client.chat(model="once")
        await client.told(chat_id, **SEARCHING)
        refused = await client.ask("POST", f"chats/{chat_id}/messages:stream", {"content": "Hi", **SEARCHING})
        retried = await client.ask("POST", f"chats/{chat_id}/turns/latest/retry")
        await client.told(model="plain", **SEARCHING)
        await client.told(model="once")
        messages = await client.messages(chat_id)
    for answer in (refused, retried):
        problem = answer.json()
        assert (answer.status, problem["code"], problem["quota_scope"]) == (429, "quota_exceeded", "web_search")
        assert problem["detail"] == "The web searches of today are used up."
        assert 0 < problem["retry_after_ms"] <= int(answer.header("Retry-After") or 0) * 1000 <= 86_400_000
    assert len(messages) == 2


async def test_a_tool_that_is_switched_off_refuses_who_asks_for_it_even_where_the_model_has_none(
    tmp_path: Path, database: Database
) -> None:
    async with a_service(tmp_path, database) as (service, client):
        operator = Operator(client.under(await service.token("operations", "olga", "admin")))
        await operator.switch("tool", "web_search")
        for model in ("once", "plain"):
            refused = await client.ask("POST", "chats:send", {"content": "Hello", "model": model, **SEARCHING})
            assert (refused.status, refused.json()["code"]) == (400, "web_search_disabled")
        stream = await client.told(model="plain")
        assert tools_in(stream) == []


async def test_a_turn_that_asked_for_a_tool_its_model_has_not_is_in_no_switch_of_it(
    tmp_path: Path, database: Database
) -> None:
    async with a_service(tmp_path, database) as (service, client):
        operator = Operator(client.under(await service.token("operations", "olga", "admin")))
        async with client.stream(model="endless", **SEARCHING) as stream:
            await stream.first("delta")
            effect = await operator.switch("tool", "web_search", "abort")
            assert effect["affected_live_turns"] == 0
            await stream.first("delta", 20)

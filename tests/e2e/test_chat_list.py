"""The list of chats as a client with a sidebar uses it, over a real socket and a real database."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness.client import Client
from tests.harness.postgres import Database
from tests.harness.service import Service, serving, settings

MODELS = {"echo": "mock-echo"}


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with service.caller(await service.token("sidebar", "ada")) as client:
        yield client


async def listed(client: Client, query: str) -> Any:
    answer = await client.ask("GET", f"chats?{query}")
    assert answer.status == 200, answer.body
    return answer.json()


async def test_a_sidebar_has_previews_groups_favourites_and_a_bin(client: Client) -> None:
    silent, spoken, thrown = await client.chat(), await client.chat(title="Tides"), await client.chat()
    await client.told(spoken, "🧵" * 200)
    await client.ask("PATCH", f"chats/{silent}", {"is_favorite": True, "metadata": {"team": "harbour"}})
    await client.ask("DELETE", f"chats/{thrown}")

    page = await listed(client, "include=preview,groups&tz=Pacific/Auckland&$count=true")
    assert [item["id"] for item in page["items"]] == [spoken, silent]
    assert [item.get("last_message_preview") for item in page["items"]] == ["🧵" * 160, None]
    assert [(group["key"], group["ids"]) for group in page["groups"]] == [("favorites", [silent]), ("today", [spoken])]
    assert [(item["message_count"], item["is_favorite"]) for item in page["items"]] == [(2, False), (0, True)]
    assert page["count"] == 2

    (gone,) = (await listed(client, "deleted=only"))["items"]
    assert gone["id"] == thrown
    assert gone["deleted_at"] > gone["updated_at"]
    assert (await client.ask("POST", f"chats/{thrown}/restore")).status == 200
    assert (await listed(client, "deleted=only"))["items"] == []
    assert len((await listed(client, "$filter=is_favorite%20eq%20false"))["items"]) == 2


async def test_without_a_window_nothing_comes_back(database: Database, tmp_path: Path) -> None:
    env = settings(database, MODELS) | {"MINI_CHAT_RETENTION_DELETED_CHATS": "0s"}
    async with serving(tmp_path, database, env) as service, service.caller() as client:
        live, gone = await client.chat(), await client.chat()
        await client.ask("DELETE", f"chats/{gone}")
        assert (await client.ask("POST", f"chats/{gone}/restore")).status == 404
        assert (await client.ask("POST", f"chats/{live}/restore")).status == 200
        assert (await listed(client, "deleted=only"))["items"] == []

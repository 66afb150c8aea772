"""What only the list of chats can do: deleted chats, previews and groups (api.md 3.3)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace

from domain.ids import ChatId, TurnId
from tests.contract.http.world import CHATS, PEOPLE, World, create_world
from tests.contract.store.samples import a_message
from tests.fakes.tables import MessageRecord


def say(world: World, chat: dict[str, Any], seq: int, content: str) -> None:
    message = a_message(seq, content)
    record = MessageRecord(chat_id=ChatId(UUID(chat["id"])), turn_id=TurnId(UUID(int=8)), message=message)
    world.store.committed[PEOPLE["ann"].tenant_id].messages[message.id] = record


def was_active(world: World, chat: dict[str, Any], moment: datetime) -> None:
    chats = world.store.committed[PEOPLE["ann"].tenant_id].chats
    record = chats[ChatId(UUID(chat["id"]))]
    chats[record.chat.id] = replace(record, chat=replace(record.chat, updated_at=moment))


async def listed(world: World, query: str) -> Any:
    answer = await world.call("GET", f"{CHATS}?{query}")
    assert answer.status == 200, answer.body
    return answer.json()


async def test_deleted_chats_are_listed_apart_and_say_when_they_went() -> None:
    world = create_world()
    live, gone = await world.new_chat(), await world.new_chat()
    temporary = await world.new_chat(body=b'{"is_temporary":true}')
    for chat in (gone, temporary):
        await world.call("DELETE", f"{CHATS}/{chat['id']}")
    assert (await listed(world, ""))["items"] == [live]
    (found,) = (await listed(world, "deleted=only"))["items"]
    assert list(found)[-1] == "deleted_at"
    assert found.pop("deleted_at") > gone["updated_at"]
    assert found == gone


async def test_a_cursor_is_of_the_live_chats_or_of_the_deleted_ones() -> None:
    world = create_world()
    for _ in range(2):
        for path in ("", "/restore"):
            chat = await world.new_chat()
            if not path:
                await world.call("DELETE", f"{CHATS}/{chat['id']}")
    for mine, other in (("", "&deleted=only"), ("&deleted=only", "")):
        page = await listed(world, f"limit=1{mine}")
        cursor = page["page_info"]["next_cursor"]
        assert len((await listed(world, f"limit=1{mine}&cursor={cursor}"))["items"]) == 1
        refused = await world.call("GET", f"{CHATS}?limit=1{other}&cursor={cursor}")
        assert (refused.status, refused.json()["code"]) == (422, "invalid_cursor")


async def test_previews_are_told_when_asked_for() -> None:
    world = create_world()
    silent, spoken = await world.new_chat(), await world.new_chat()
    say(world, spoken, 1, "first")
    say(world, spoken, 2, "x" * 161)
    told = {item["id"]: item.get("last_message_preview") for item in (await listed(world, "include=preview"))["items"]}
    assert told == {silent["id"]: None, spoken["id"]: "x" * 160}
    assert all("last_message_preview" not in item for item in (await listed(world, ""))["items"])
    selected = await listed(world, "include=preview&$select=last_message_preview")
    assert selected["items"] == [{"id": spoken["id"], "last_message_preview": "x" * 160}, {"id": silent["id"]}]
    assert (await listed(world, "include=preview&$select=id"))["items"] == [{"id": spoken["id"]}, {"id": silent["id"]}]


async def test_groups_name_each_chat_of_the_page_once_whatever_is_selected() -> None:
    world = create_world()
    now = datetime.now(UTC)
    chats = [await world.new_chat() for _ in range(4)]
    for chat, days in zip(chats, (0, 0, 10, 100), strict=True):
        was_active(world, chat, now - timedelta(days=days))
    await world.call("PATCH", f"{CHATS}/{chats[3]['id']}", body=b'{"is_favorite":true}')
    for query in ("include=groups", "include=groups,preview&$select=model&tz=UTC"):
        page = await listed(world, query)
        keyed = {group["key"]: group for group in page["groups"]}
        assert page["groups"][0]["key"] == "favorites"
        assert keyed["favorites"] == {"key": "favorites", "ids": [chats[3]["id"]]}
        assert keyed["last_30_days"] == {"key": "last_30_days", "ids": [chats[2]["id"]]}
        named = [chat_id for group in page["groups"] for chat_id in group["ids"]]
        assert sorted(named) == sorted(item["id"] for item in page["items"])
    first = await listed(world, "include=groups&limit=1")
    assert [len(group["ids"]) for group in first["groups"]] == [1]
    assert "groups" not in await listed(world, "")
    assert (await listed(world, "include=groups&$filter=title eq 'none'".replace(" ", "%20")))["groups"] == []


@pytest.mark.parametrize(("zone", "hours"), [("Pacific/Kiritimati", 14), ("Etc/GMT%2B12", -12)])
async def test_today_is_that_of_the_zone(zone: str, hours: int) -> None:
    world = create_world()
    await world.new_chat()
    before = datetime.now(UTC) + timedelta(hours=hours)
    (group,) = (await listed(world, f"include=groups&tz={zone}"))["groups"]
    after = datetime.now(UTC) + timedelta(hours=hours)
    if before.date() == after.date():
        assert (group["key"], group["date"]) == ("today", before.date().isoformat())


async def test_links_carry_the_options_along() -> None:
    world = create_world()
    for _ in range(2):
        await world.new_chat()
    answer = await world.call("GET", f"{CHATS}?limit=1&include=preview,groups&tz=Europe/Berlin")
    following = (answer.header("Link") or "").split(">")[0].lstrip("<")
    page = (await world.call("GET", following)).json()
    assert len(page["items"]) == 1
    assert [len(group["ids"]) for group in page["groups"]] == [1]

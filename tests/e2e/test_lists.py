"""Lists over real sockets: every order both ways, cursors and whose they are, links as a client follows them."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode
from uuid import uuid4

import msgspec
import pytest

from domain.chats.listing import CHAT_LIST
from domain.filters import ListShape
from domain.messages.listing import MESSAGE_LIST
from tests.harness.client import API, Client, comparable, raw_exchange
from tests.harness.hostile_queries import HOSTILE
from tests.harness.postgres import Database
from tests.harness.service import Service, serving, settings

pytestmark = pytest.mark.timeout(120)  # servers start slowly on a busy machine

TITLES = ("b", "b", None, "B", "ä", "\U0001f600", "\uff5e", "", None, "a b", "a'b", "%")
LIMIT = 5
Item = dict[str, Any]


class Address(msgspec.Struct, frozen=True):
    """A list with more than two pages of items, all of them known."""

    path: str
    shape: ListShape
    items: tuple[Item, ...]


@pytest.fixture(scope="module")
async def client(service: Service) -> AsyncIterator[Client]:
    async with service.caller(await service.token("acme", str(uuid4()))) as client:
        yield client


@pytest.fixture(scope="module")
async def addresses(client: Client) -> dict[str, Address]:
    chat_id = await client.chat(title="messages")
    for number in range(6):
        await client.told(chat_id, f"{number}")
    assert (await client.ask("DELETE", f"chats/{await client.chat()}")).status == 204
    chats = [(await client.ask("POST", "chats", {"title": title} if title else {})).json() for title in TITLES]
    first = (await client.ask("GET", f"chats/{chat_id}")).json()
    messages = await client.messages(chat_id)
    assert len(messages) == 12
    return {
        "chats": Address("chats", CHAT_LIST, (*chats, first)),
        "messages": Address(f"chats/{chat_id}/messages", MESSAGE_LIST, tuple(messages)),
    }


def in_order(items: Sequence[Item], name: str, unique: str, *, descending: bool) -> list[Item]:
    """Null is the smallest value, text orders by code point; times and ids have one length each."""
    return sorted(items, key=lambda item: (name in item, item.get(name), item[unique]), reverse=descending)


async def walk(client: Client, target: str) -> tuple[list[list[Item]], list[list[Item]]]:
    """The pages on the way to the end and on the way back, along the links of the answers and nothing else."""
    there: list[list[Item]] = []
    back: list[list[Item]] = []
    links = {"next": target}
    while "next" in links:
        links = await _step(client, links["next"], there)
    while "prev" in links:
        links = await _step(client, links["prev"], back)
    return there, back


async def _step(client: Client, target: str, pages: list[list[Item]]) -> dict[str, str]:
    answer = await client.ask("GET", target)
    assert answer.status == 200, (target, answer)
    page = answer.json()
    pages.append(page["items"])
    links = {relation: to for to, relation in re.findall(r'<([^>]*)>; rel="(\w+)"', answer.header("link") or "")}
    cursors = {"next": page["page_info"]["next_cursor"], "prev": page["page_info"]["prev_cursor"]}
    assert set(links) == {"first", *(relation for relation, cursor in cursors.items() if cursor)}
    return links


ORDERS = [
    (name, field.name, descending)
    for name, shape in (("chats", CHAT_LIST), ("messages", MESSAGE_LIST))
    for field in shape.fields
    for descending in (False, True)
]


@pytest.mark.parametrize(("name", "field", "descending"), ORDERS)
async def test_links_lead_through_every_order_to_its_end_and_back(
    client: Client, addresses: dict[str, Address], name: str, field: str, descending: bool
) -> None:
    address = addresses[name]
    expected = in_order(address.items, field, address.shape.unique.name, descending=descending)
    order = quote(f"{field}{' desc' if descending else ''}")
    there, back = await walk(client, f"{API}/{address.path}?limit={LIMIT}&$orderby={order}")
    assert [item for page in there for item in page] == expected
    assert [len(page) for page in there] == [LIMIT] * (len(expected) // LIMIT) + [len(expected) % LIMIT]
    assert back == there[-2::-1]


async def test_an_order_of_several_fields_goes_both_ways_too(client: Client, addresses: dict[str, Address]) -> None:
    chats = addresses["chats"]
    by_title = in_order(chats.items, "title", "id", descending=False)
    expected = sorted(by_title, key=lambda chat: (chat.get("title") is not None, chat.get("title")), reverse=True)
    there, back = await walk(client, f"{API}/chats?limit={LIMIT}&$orderby=is_temporary,title%20desc,id")
    assert [item for page in there for item in page] == expected
    assert back == there[-2::-1]


async def test_links_carry_filter_selection_and_count(client: Client, addresses: dict[str, Address]) -> None:
    query = {"$filter": "title ge 'a' or title eq null", "$select": "title", "$count": "true", "limit": "3", "x": "y"}
    found = [chat for chat in addresses["chats"].items if chat.get("title", "a") >= "a"]
    expected = [
        {name: chat[name] for name in ("id", "title") if name in chat}
        for chat in in_order(found, "title", "id", descending=False)
    ]
    there, back = await walk(client, f"{API}/chats?{urlencode({**query, '$orderby': 'title'})}")
    assert [item for page in there for item in page] == expected
    assert back == there[-2::-1]


async def test_a_count_is_that_of_the_filter(client: Client, addresses: dict[str, Address]) -> None:
    messages = addresses["messages"]
    answer = await client.ask("GET", f"{messages.path}?$count=true&limit=1&$filter=role%20eq%20'user'")
    assert answer.json()["count"] == 6


async def test_a_selected_message_has_nothing_else(client: Client, addresses: dict[str, Address]) -> None:
    messages = addresses["messages"]
    for name in {name for message in messages.items for name in message}:
        answer = await client.ask("GET", f"{messages.path}?$select={name}")
        expected = [{key: item[key] for key in ("id", name) if key in item} for item in messages.items]
        assert answer.json()["items"] == expected


async def test_the_page_before_the_first_is_empty_and_leads_back(client: Client, addresses: dict[str, Address]) -> None:
    path = f"{addresses['messages'].path}?limit=2"
    first = (await client.ask("GET", path)).json()
    second = (await client.ask("GET", f"{path}&cursor={first['page_info']['next_cursor']}")).json()
    again = (await client.ask("GET", f"{path}&cursor={second['page_info']['prev_cursor']}")).json()
    assert again["items"] == first["items"]
    assert again["page_info"]["prev_cursor"] is None
    assert again["page_info"]["next_cursor"] == first["page_info"]["next_cursor"]


async def test_nobody_elses_cursor_is_better_than_a_made_up_one(
    client: Client, service: Service, addresses: dict[str, Address]
) -> None:
    hers = {
        name: (await client.ask("GET", f"{address.path}?limit=2")).json()["page_info"]["next_cursor"]
        for name, address in addresses.items()
    }
    made_up = "A" * len(hers["chats"])
    for tenant, user in (("acme", str(uuid4())), ("globex", str(uuid4()))):
        stranger = client.under(await service.token(tenant, user))
        for path in ("chats", f"chats/{await stranger.chat()}/messages"):
            forged = await stranger.ask("GET", f"{path}?cursor={made_up}")
            assert (forged.status, forged.json()["code"]) == (422, "invalid_cursor")
            for cursor in hers.values():
                assert comparable(await stranger.ask("GET", f"{path}?cursor={cursor}")) == comparable(forged)
    others = {"chats": hers["messages"], addresses["messages"].path: hers["chats"]}
    others[f"chats/{await client.chat()}/messages"] = hers["messages"]
    for path, cursor in others.items():
        assert comparable(await client.ask("GET", f"{path}?cursor={cursor}")) == comparable(
            await client.ask("GET", f"{path}?cursor={made_up}")
        )


async def test_a_cursor_outlives_no_chat(client: Client) -> None:
    chat_id = await client.chat()
    await client.told(chat_id)
    path = f"chats/{chat_id}/messages?limit=1"
    cursor = (await client.ask("GET", path)).json()["page_info"]["next_cursor"]
    assert (await client.ask("DELETE", f"chats/{chat_id}")).status == 204
    gone = await client.ask("GET", f"{path}&cursor={cursor}")
    assert (gone.status, gone.json()["code"]) == (404, "chat_not_found")


async def test_a_cursor_works_when_its_row_is_gone(client: Client) -> None:
    made = [await client.chat(title="row") for _ in range(4)]
    path = "chats?limit=2&$filter=title%20eq%20'row'"
    first = (await client.ask("GET", path)).json()
    assert [item["id"] for item in first["items"]] == made[:1:-1]
    assert (await client.ask("DELETE", f"chats/{made[2]}")).status == 204
    second = (await client.ask("GET", f"{path}&cursor={first['page_info']['next_cursor']}")).json()
    assert [item["id"] for item in second["items"]] == made[1::-1]


async def test_the_longest_filter_gets_through_however_it_is_encoded(client: Client) -> None:
    text = "".join(f"%{byte:02X}" for byte in f"title eq '{'x' * (8192 - 11)}'".encode())
    assert len(text) == 3 * 8192
    answer = await client.ask("GET", f"chats?$filter={text}")
    assert (answer.status, answer.json()["items"]) == (200, [])
    assert answer.header("link") is None


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_query_is_refused_over_the_wire_as_well(
    client: Client, addresses: dict[str, Address], name: str
) -> None:
    cursor = (await client.ask("GET", f"{addresses['chats'].path}?limit=2")).json()["page_info"]["next_cursor"]
    credential = f"Authorization: {client.credential}\r\n"
    target = f"{API}/chats?{HOSTILE[name].query(cursor)}"
    said = await raw_exchange(
        client.server, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n{credential}Connection: close\r\n\r\n".encode()
    )
    head, _, body = said.partition(b"\r\n\r\n")
    problem = msgspec.json.decode(body)
    if len(target) > 64 * 1024:
        assert (problem["status"], problem["code"]) == (400, "invalid_request")
    else:
        assert (problem["status"], problem["code"]) == (HOSTILE[name].refusal.status, HOSTILE[name].refusal.code)
    assert head.split(b" ")[1] == str(problem["status"]).encode()


async def test_cursors_survive_a_change_of_the_key(
    database: Database, tmp_path_factory: pytest.TempPathFactory
) -> None:
    async with keyed(database, tmp_path_factory.mktemp("before"), CURSOR_KEY=OLD_KEY) as client:
        made = [await client.chat() for _ in range(3)]
        old = (await client.ask("GET", "chats?limit=1")).json()["page_info"]["next_cursor"]
    async with keyed(
        database, tmp_path_factory.mktemp("after"), CURSOR_KEY=NEW_KEY, PREVIOUS_CURSOR_KEY=OLD_KEY
    ) as client:
        new = (await client.ask("GET", "chats?limit=1")).json()["page_info"]["next_cursor"]
        for cursor in (old, new):
            page = (await client.ask("GET", f"chats?limit=1&cursor={cursor}")).json()
            assert [item["id"] for item in page["items"]] == [made[1]]
    assert new != old


OLD_KEY, NEW_KEY = f"old-{'0' * 32}", f"new-{'0' * 32}"


@asynccontextmanager
async def keyed(database: Database, folder: Path, **keys: str) -> AsyncIterator[Client]:
    """A caller of a server that signs its cursors with these."""
    env = settings(database, {"echo": "mock-echo"}) | keys | {"MINI_CHAT_SECRETS_SIGNING_KEY": "env:CURSOR_KEY"}
    if "PREVIOUS_CURSOR_KEY" in keys:
        env["MINI_CHAT_SECRETS_PREVIOUS_SIGNING_KEY"] = "env:PREVIOUS_CURSOR_KEY"
    async with serving(folder, database, env) as service, service.caller() as client:
        yield client

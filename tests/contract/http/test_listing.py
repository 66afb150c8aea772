import re
from urllib.parse import quote

import pytest

from tests.contract.http.world import CHATS, World, create_world


async def world_with_chats(count: int, who: str = "ann") -> tuple[World, list[str]]:
    """Ids newest first."""
    world = create_world()
    ids = [(await world.new_chat(who=who))["id"] for _ in range(count)]
    return world, ids[::-1]


async def test_pages_join_without_gap_or_repetition_in_both_directions() -> None:
    world, ids = await world_with_chats(7)
    seen: list[str] = []
    target: str | None = f"{CHATS}?limit=3"
    cursors: list[str | None] = []
    while target is not None:
        page = (await world.call("GET", target)).json()
        seen += [item["id"] for item in page["items"]]
        cursors.append(page["page_info"]["prev_cursor"])
        cursor = page["page_info"]["next_cursor"]
        target = f"{CHATS}?limit=3&cursor={cursor}" if cursor else None
    assert seen == ids
    assert cursors[0] is None
    back = (await world.call("GET", f"{CHATS}?limit=3&cursor={cursors[-1]}")).json()
    assert [item["id"] for item in back["items"]] == ids[3:6]
    first = (await world.call("GET", f"{CHATS}?limit=3&cursor={back['page_info']['prev_cursor']}")).json()
    assert [item["id"] for item in first["items"]] == ids[:3]
    assert first["page_info"]["prev_cursor"] is None
    assert first["page_info"]["next_cursor"] is not None


async def test_an_empty_list_is_this_to_the_byte() -> None:
    answer = await create_world().call("GET", CHATS)
    assert answer.body == b'{"items":[],"page_info":{"next_cursor":null,"prev_cursor":null,"limit":20}}'


async def test_links_lead_where_the_cursors_lead() -> None:
    world, ids = await world_with_chats(3)
    links = (await world.call("GET", f"{CHATS}?limit=1")).header("Link") or ""
    assert re.findall(r'rel="(\w+)"', links) == ["next", "first"]
    second = await world.call("GET", links[1 : links.index(">")])
    assert second.json()["items"][0]["id"] == ids[1]
    found = dict(re.findall(r'<([^>]+)>; rel="(\w+)"', second.header("Link") or ""))
    by_relation = {relation: target for target, relation in found.items()}
    assert list(by_relation) == ["next", "prev", "first"]
    assert by_relation["first"] == f"{CHATS}?limit=1"
    assert (await world.call("GET", by_relation["prev"])).json()["items"][0]["id"] == ids[0]


@pytest.mark.parametrize(
    ("query", "limit"),
    [("", 20), ("limit=1", 1), ("$top=2", 2), ("limit=3&$top=3", 3), ("limit=101", 100), ("limit=999999999999", 100),
     ("Limit=3", 20), ("unknown=1&unknown=2", 20), ("%24top=4", 4)],
)  # fmt: skip
async def test_the_page_size_is_what_was_asked_within_bounds(query: str, limit: int) -> None:
    assert (await create_world().call("GET", f"{CHATS}?{query}")).json()["page_info"]["limit"] == limit


@pytest.mark.parametrize(
    ("query", "status", "code", "field"),
    [
        ("limit=0", 422, "invalid_limit", None),
        ("limit=-5", 422, "invalid_limit", None),
        ("limit=", 400, "invalid_request", "limit"),
        ("limit=ten", 400, "invalid_request", "limit"),
        ("limit=1.0", 400, "invalid_request", "limit"),
        ("limit=\u0661", 400, "invalid_request", "limit"),
        ("limit=" + "9" * 5000, 400, "invalid_request", "limit"),
        ("limit=1&limit=1", 400, "invalid_request", "limit"),
        ("limit=1&$top=2", 400, "invalid_request", "$top"),
        ("$Top=1", 400, "invalid_request", "$Top"),
        ("$unknown=1", 400, "invalid_request", "$unknown"),
        ("cursor=%ff", 400, "invalid_request", "query"),
        ("anything=%00", 400, "invalid_request", "query"),
        ("&".join(f"a{n}=1" for n in range(200)), 400, "invalid_request", "query"),
        ("$filter=title eq 'x'", 501, "not_implemented", "$filter"),
        ("$orderby=title", 501, "not_implemented", "$orderby"),
        ("$select=id", 501, "not_implemented", "$select"),
        ("$count=true", 501, "not_implemented", "$count"),
        ("$skip=1", 501, "not_implemented", "$skip"),
        ("deleted=only", 501, "not_implemented", "deleted"),
        ("include=groups", 501, "not_implemented", "include"),
        ("cursor=", 422, "invalid_cursor", None),
        ("cursor=AAAA", 422, "invalid_cursor", None),
        ("cursor=" + "A" * 3000, 422, "invalid_cursor", None),
    ],
)
async def test_a_bad_option_is_refused_by_name(query: str, status: int, code: str, field: str | None) -> None:
    answer = await create_world().call("GET", f"{CHATS}?{quote(query, safe='=&%$')}")
    assert (answer.status, answer.json()["code"]) == (status, code)
    assert [fault["field"] for fault in answer.json().get("errors", [])] == ([field] if field else [])


async def test_raw_bytes_in_a_query_are_refused() -> None:
    assert (await create_world().call("GET", f"{CHATS}?limit=\xff")).status == 400


async def test_a_cursor_serves_its_owner_and_its_list_alone() -> None:
    world, ids = await world_with_chats(2)
    for _ in range(2):
        await world.new_chat(who="bob")
    cursor = (await world.call("GET", f"{CHATS}?limit=1")).json()["page_info"]["next_cursor"]
    for who, address in (("bob", CHATS), ("eve", CHATS), ("ann", f"{CHATS}/{ids[0]}/messages")):
        answer = await world.call("GET", f"{address}?limit=1&cursor={cursor}", who=who)
        assert (answer.status, answer.json()["code"]) == (422, "invalid_cursor")


async def test_options_are_looked_at_before_the_parent() -> None:
    answer = await create_world().call("GET", f"{CHATS}/0198c0de-79f0-7a01-9d00-1b2c3d4e5f60/messages?limit=0")
    assert answer.status == 422

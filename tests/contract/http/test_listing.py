import re
from urllib.parse import quote

import pytest

from tests.contract.http.world import CHATS, World, create_world

NOT_OFFERED = (
    "skip", "skiptoken", "expand", "search", "apply", "compute", "levels", "index", "format", "schemaversion",
)  # fmt: skip


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
        ("$count=", 400, "invalid_request", "$count"),
        ("$count=1", 400, "invalid_request", "$count"),
        ("$count=True", 400, "invalid_request", "$count"),
        ("$count=true&%24count=true", 400, "invalid_request", "$count"),
        ("$select=", 400, "invalid_request", "$select"),
        ("$select=id,", 400, "invalid_request", "$select"),
        ("$select=id,title,id", 400, "invalid_request", "$select"),
        ("$select=user_id", 400, "invalid_request", "$select"),
        ("$select=Title", 400, "invalid_request", "$select"),
        ("$select=*,id", 400, "invalid_request", "$select"),
        ("$select=" + "id," * 700, 400, "invalid_request", "$select"),
        ("$filter=" + "x" * 8193, 400, "invalid_request", "$filter"),
        ("$filter=" + "(" * 65 + "id eq null", 400, "invalid_request", "$filter"),
        ("$filter=", 422, "invalid_filter", "$filter"),
        ("$filter=user_id eq 1", 422, "invalid_filter", "$filter"),
        ("$filter=title", 422, "invalid_filter", "$filter"),
        ("$orderby=", 422, "invalid_orderby", "$orderby"),
        ("$orderby=user_id", 422, "invalid_orderby", "$orderby"),
        ("$orderby=title,title desc", 422, "invalid_orderby", "$orderby"),
        ("$orderby=title DESC", 422, "invalid_orderby", "$orderby"),
        ("$orderby=title" + " " * 1024, 422, "invalid_orderby", "$orderby"),
        ("$orderby=title&cursor=AAAA", 422, "invalid_cursor", None),
        *((f"${name}=1", 501, "not_implemented", f"${name}") for name in NOT_OFFERED),
        ("deleted=true", 400, "invalid_request", "deleted"),
        ("deleted=", 400, "invalid_request", "deleted"),
        ("deleted=only&deleted=only", 400, "invalid_request", "deleted"),
        ("include=", 400, "invalid_request", "include"),
        ("include=preview,", 400, "invalid_request", "include"),
        ("include=preview, groups", 400, "invalid_request", "include"),
        ("include=groups,groups", 400, "invalid_request", "include"),
        ("include=Preview", 400, "invalid_request", "include"),
        ("tz=", 400, "invalid_request", "tz"),
        ("tz=Europe", 400, "invalid_request", "tz"),
        ("tz=europe/berlin", 400, "invalid_request", "tz"),
        ("tz=../../../etc/localtime", 400, "invalid_request", "tz"),
        ("include=groups&tz=Mars/Olympus", 400, "invalid_request", "tz"),
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


async def test_a_page_says_no_more_than_was_selected() -> None:
    world, ids = await world_with_chats(1)
    shown = {
        "$select=id": {"id": ids[0]},
        "$select=is_favorite,metadata": {"id": ids[0], "is_favorite": False, "metadata": {}},
        "$select=title": {"id": ids[0]},
    }
    for query, item in shown.items():
        assert (await world.call("GET", f"{CHATS}?{query}")).json()["items"] == [item]
    whole = (await world.call("GET", CHATS)).body
    assert (await world.call("GET", f"{CHATS}?$select=*")).body == whole


async def test_every_member_of_the_schema_can_be_selected_alone() -> None:
    world, _ = await world_with_chats(1)
    (item,) = (await world.call("GET", CHATS)).json()["items"]
    for name, value in item.items():
        assert (await world.call("GET", f"{CHATS}?$select={name}")).json()["items"] == [{"id": item["id"], name: value}]


async def test_the_count_is_that_of_the_filter_on_every_page() -> None:
    world, ids = await world_with_chats(5)
    query = f"limit=2&$count=true&$filter=id ne {ids[0]}".replace(" ", "%20")
    first = (await world.call("GET", f"{CHATS}?{query}")).json()
    second = (await world.call("GET", f"{CHATS}?{query}&cursor={first['page_info']['next_cursor']}")).json()
    assert [item["id"] for item in first["items"] + second["items"]] == ids[1:]
    assert (first["count"], second["count"]) == (4, 4)
    assert "count" not in (await world.call("GET", f"{CHATS}?$count=false")).json()
    assert list(first) == ["items", "page_info", "count"]


async def test_plus_is_space_and_names_of_options_may_be_encoded() -> None:
    world, ids = await world_with_chats(3)
    found = await world.call("GET", f"{CHATS}?%24filter=id+ne+{ids[1]}&%24orderby=created_at+desc")
    assert [item["id"] for item in found.json()["items"]] == [ids[0], ids[2]]


async def test_with_a_cursor_the_filter_stays_and_the_order_comes_along() -> None:
    world, ids = await world_with_chats(3)
    oldest_first = f"{CHATS}?limit=1&$orderby=created_at&$filter=title+eq+null"
    cursor = (await world.call("GET", oldest_first)).json()["page_info"]["next_cursor"]
    for same in ("title+eq+null", "(+TITLE+eq+null+)", "title%20%20eq%09null"):
        page = (await world.call("GET", f"{CHATS}?limit=1&$filter={same}&cursor={cursor}")).json()
        assert [item["id"] for item in page["items"]] == [ids[1]]
    for other in ("", "&$filter=title+ne+null", "&$filter=title+eq+null&$orderby=created_at"):
        answer = await world.call("GET", f"{CHATS}?limit=1{other}&cursor={cursor}")
        assert (answer.status, answer.json()["code"]) == (422, "invalid_cursor")

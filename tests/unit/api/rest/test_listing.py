"""A list that is none of ours, with options of its own."""

import contextlib
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar import Request
from msgspec import UNSET, UnsetType

from api.rest.cursor import CursorKeys, Cursors
from api.rest.list_spec import ListSpec, OwnOption, OwnOptions
from api.rest.listing import Listing
from api.rest.page_out import PageInfo
from api.rest.refusals import NotOffered
from domain.errors import DomainError, InvalidCursor, InvalidFilter, InvalidLimit, InvalidOrder, InvalidRequest
from domain.filters import Compare, Field, Kind, ListShape, Operand, Operator, OrderKey
from domain.ids import TenantId, UserId
from domain.pagination import Page, PageQuery, Position, Travel
from domain.subject import AuthMethod, Subject

WEIGHT = Field("weight", Kind.INTEGER)
ID = Field("id", Kind.UUID)


class StoneOut(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    weight: int
    colour: str | UnsetType = UNSET
    wet: None = None


class StoneOptions(msgspec.Struct, frozen=True, kw_only=True):
    sunk: bool
    unit: str


def own_options(sent: Mapping[str, str]) -> StoneOptions:
    if sent.get("sunk", "only") != "only":
        raise InvalidRequest.of("sunk", "This can be `only`.", "invalid_value")
    return StoneOptions(sunk="sunk" in sent, unit=sent.get("unit", "kg"))


STONES = ListSpec(
    resource="stones",
    shape=ListShape(fields=(ID, WEIGHT), unique=ID, default_order=(OrderKey(WEIGHT), OrderKey(ID))),
    item=StoneOut,
    own=OwnOptions(
        options=(
            OwnOption(name="sunk", description="Those under water.", schema={"enum": ["only"]}, picks_rows=True),
            OwnOption(name="unit", description="Of the weight.", schema={"type": "string"}),
        ),
        read=own_options,
    ),
    sources={"colour": "tint"},
)
CURSORS = Cursors(CursorKeys(current=b"a" * 32))
PLACE = Position(keys=(7, UUID(int=9)), travel=Travel.FORWARD)
ANN = Subject(
    tenant_id=TenantId(UUID(int=1)),
    user_id=UserId(UUID(int=2)),
    roles=frozenset(),
    features=frozenset(),
    auth_method=AuthMethod.JWT,
)


def asked(query: str | bytes) -> Listing[StoneOptions]:
    text = query.encode() if isinstance(query, str) else query
    scope: Any = {"type": "http", "method": "GET", "path": "/stones", "query_string": text, "headers": []}
    return Listing(Request(scope), CURSORS, STONES, ANN)


def cursor_of(query: str) -> str:
    cursor = asked(query).pages.info(Page(items=(), next=PLACE)).next_cursor
    assert cursor is not None
    return cursor


def test_options_of_the_list_are_read_by_the_list() -> None:
    assert asked("sunk=only").own == StoneOptions(sunk=True, unit="kg")
    assert asked("unit=stone").own == StoneOptions(sunk=False, unit="stone")
    with pytest.raises(InvalidRequest):
        asked("sunk=never")
    with pytest.raises(InvalidRequest):
        asked("unit=kg&unit=kg")


def test_what_another_list_offers_is_known_and_what_nobody_offers_is_ignored() -> None:
    with pytest.raises(NotOffered):
        asked("tz=UTC")
    assert asked("moss=1&moss=2").own == StoneOptions(sunk=False, unit="kg")


def test_a_cursor_holds_for_one_value_of_an_option_that_picks_rows_and_for_every_value_of_others() -> None:
    assert asked(f"unit=stone&cursor={cursor_of('')}").query.position == PLACE
    assert asked(f"sunk=only&cursor={cursor_of('sunk=only')}").query.position == PLACE
    for query, cursor in (("", cursor_of("sunk=only")), ("sunk=only&", cursor_of(""))):
        with pytest.raises(InvalidCursor):
            asked(f"{query}&cursor={cursor}")


def test_links_repeat_the_options_of_the_request() -> None:
    listing = asked("unit=a%20b%26c&%24top=3&moss=1")
    links = listing.pages.links(listing.pages.info(Page(items=(), next=PLACE)))["Link"]
    to_next, to_first = links.split(", ")
    assert to_next == f'</stones?limit=3&unit=a+b%26c&cursor={cursor_of("")}>; rel="next"'
    assert to_first == '</stones?limit=3&unit=a+b%26c>; rel="first"'


def test_a_cursor_takes_the_place_of_the_order_and_the_first_page_names_it() -> None:
    heaviest = asked("%24orderby=weight+desc&%24filter=weight+gt+1&%24select=weight&%24count=true")
    links = heaviest.pages.links(heaviest.pages.info(Page(items=(), next=PLACE, previous=PLACE)))["Link"]
    kept = "/stones?limit=20&$filter=weight+gt+1&$select=weight&$count=true"
    info = heaviest.pages.info(Page(items=(), next=PLACE, previous=PLACE))
    assert links.split(", ") == [
        f'<{kept}&cursor={info.next_cursor}>; rel="next"',
        f'<{kept}&cursor={info.prev_cursor}>; rel="prev"',
        f'<{kept}&$orderby=weight+desc%2Cid+desc>; rel="first"',
    ]
    followed = asked(f"$filter=weight gt 1&cursor={info.next_cursor}")
    assert followed.query.order == heaviest.query.order
    first = followed.pages.links(followed.pages.info(Page(items=())))["Link"]
    assert first == '</stones?limit=20&$filter=weight+gt+1&$orderby=weight+desc%2Cid+desc>; rel="first"'


def test_links_that_no_client_would_read_are_left_out() -> None:
    listing = asked("$filter=weight in (" + ",".join(["1234567890"] * 180) + ")")
    assert listing.pages.links(listing.pages.info(Page(items=()))) != {}
    assert listing.pages.links(listing.pages.info(Page(items=(), next=PLACE, previous=PLACE))) == {}


def test_links_survive_every_character() -> None:
    target = asked("unit=%22%3E%3B%20rel%3Dx%0D%0A%E2%82%AC+%2B%25").pages.links(
        PageInfo(next_cursor=None, prev_cursor=None, limit=20)
    )
    assert target["Link"] == '</stones?limit=20&unit=%22%3E%3B+rel%3Dx%0D%0A%E2%82%AC+%2B%25>; rel="first"'
    assert asked(target["Link"].partition("?")[2].partition(">")[0]).own.unit == '">; rel=x\r\n€ +%'


def test_the_query_is_what_was_asked() -> None:
    plain = asked("").query
    assert plain == PageQuery(limit=20, order=STONES.shape.default_order)
    full = asked("$top=7&$count=true&$select=colour&$orderby=weight desc,id&$filter=weight ge 7").query
    assert full == PageQuery(
        limit=7,
        order=(OrderKey(WEIGHT, descending=True), OrderKey(ID)),
        filter=Compare(Operand(WEIGHT), Operator.GE, 7),
        members=frozenset({"id", "tint"}),
        counted=True,
    )
    assert asked("$select=*&$count=false").query == plain


def test_only_what_was_selected_is_shown() -> None:
    stones = [StoneOut(id="a", weight=1, colour="grey"), StoneOut(id="b", weight=2)]

    def shown(selection: str) -> bytes:
        return msgspec.json.encode(asked(f"$select={selection}").projected(stones))

    assert shown("*") == b'[{"id":"a","weight":1,"colour":"grey","wet":null},{"id":"b","weight":2,"wet":null}]'
    assert shown("id") == b'[{"id":"a"},{"id":"b"}]'
    assert shown("colour,weight") == b'[{"id":"a","weight":1,"colour":"grey"},{"id":"b","weight":2}]'
    assert shown("wet") == b'[{"id":"a","wet":null},{"id":"b","wet":null}]'


def test_white_space_in_a_filter_does_not_matter_to_a_cursor() -> None:
    cursor = cursor_of("$filter=weight gt 1 and weight lt 9")
    for same in (
        "weight  gt 1 and ( weight lt 9 )",
        "(weight%09gt%201)%20and%20(weight lt 9)",
        "WEIGHT gt 01 and weight lt 9",
    ):
        assert asked(f"$filter={same}&cursor={cursor}").query.position == PLACE
    for other in (
        "weight lt 9 and weight gt 1",
        "weight gt 1",
        "weight gt 1 or weight lt 9",
        "weight gt 1 and weight lt 8",
    ):
        with pytest.raises(InvalidCursor):
            asked(f"$filter={other}&cursor={cursor}")
    with pytest.raises(InvalidCursor):
        asked(f"cursor={cursor}")
    with pytest.raises(InvalidCursor):
        asked(f"$filter=weight gt 1&cursor={cursor_of('')}")


def test_what_does_not_change_the_rows_may_change_from_page_to_page() -> None:
    query = asked(f"limit=3&$select=weight&$count=true&cursor={cursor_of('limit=9')}").query
    assert (query.limit, query.position, query.counted) == (3, PLACE, True)


@pytest.mark.parametrize("order", ["weight", "weight,id", "", "nothing"])
def test_a_cursor_and_an_order_together_are_no_cursor(order: str) -> None:
    with pytest.raises(InvalidCursor):
        asked(f"$orderby={order}&cursor={cursor_of('')}")


def test_the_first_thing_wrong_is_told() -> None:
    wrong = {
        "$nothing": (InvalidRequest, "$nothing"),
        "limit": (InvalidLimit, None),
        "$count": (InvalidRequest, "$count"),
        "$select": (InvalidRequest, "$select"),
        "sunk": (InvalidRequest, "sunk"),
        "$filter": (InvalidFilter, "$filter"),
        "cursor": (InvalidCursor, None),
    }
    names = list(wrong)
    for index, name in enumerate(names):
        kind, field = wrong[name]
        with pytest.raises(kind) as refused:
            asked("&".join(f"{name}=0" for name in reversed(names[index:])))
        assert [fault.field for fault in refused.value.faults] == ([] if field is None else [field])
    with pytest.raises(InvalidOrder):
        asked("$orderby=")


SOUP = st.lists(
    st.tuples(
        st.sampled_from(
            ["limit", "$top", "$filter", "$orderby", "$select", "$count", "cursor", "sunk", "unit", "%24top"]
        )
        | st.text(max_size=5),
        st.sampled_from(
            ["1", "true", "weight", "id desc", "weight eq 1", "*", "", "%00", "%ff", "'", "(", cursor_of("")]
        )
        | st.text(max_size=20),
    ),
    max_size=6,
).map(lambda pairs: "&".join(f"{name}={value}" for name, value in pairs))


@given(SOUP | st.text())
def test_every_query_is_understood_or_refused(query: str) -> None:
    try:
        understood = asked(query.encode("utf-8", "surrogatepass"))
    except (DomainError, NotOffered):
        return
    assert 1 <= understood.query.limit <= 100
    assert understood.query.order[-1].field == ID


@given(st.binary(max_size=60))
def test_no_bytes_break_anything(query: bytes) -> None:
    with contextlib.suppress(DomainError, NotOffered):
        asked(query)

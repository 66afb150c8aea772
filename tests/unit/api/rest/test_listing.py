"""A list that is none of ours, with an option of its own."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar import Request

from api.rest.cursor import CursorKeys, Cursors
from api.rest.list_spec import ListSpec, OwnOption, OwnOptions
from api.rest.listing import Listing
from api.rest.refusals import NotOffered
from domain.errors import InvalidCursor, InvalidLimit, InvalidRequest
from domain.filters import Field, Kind, ListShape, OrderKey
from domain.ids import TenantId, UserId
from domain.pagination import Page, Position, Travel
from domain.subject import AuthMethod, Subject

WEIGHT = Field("weight", Kind.INTEGER)
ID = Field("id", Kind.UUID)


class StoneOut(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    weight: int


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
)
CURSORS = Cursors(CursorKeys(current=b"a" * 32))
PLACE = Position(keys=("7", str(UUID(int=9))), travel=Travel.FORWARD)
ANN = Subject(
    tenant_id=TenantId(UUID(int=1)),
    user_id=UserId(UUID(int=2)),
    roles=frozenset(),
    features=frozenset(),
    auth_method=AuthMethod.JWT,
)


def asked(query: str, spec: ListSpec[StoneOptions] = STONES) -> Listing[StoneOptions]:
    scope: Any = {"type": "http", "method": "GET", "path": "/stones", "query_string": query.encode(), "headers": []}
    return Listing(Request(scope), CURSORS, spec, ANN)


def cursor_of(query: str) -> str:
    cursor = asked(query).page_info(Page(items=(), next=PLACE)).next_cursor
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
    links = listing.links(listing.page_info(Page(items=(), next=PLACE)))["Link"]
    to_next, to_first = links.split(", ")
    assert to_next == f'</stones?limit=3&unit=a+b%26c&cursor={cursor_of("")}>; rel="next"'
    assert to_first == '</stones?limit=3&unit=a+b%26c>; rel="first"'


def test_the_first_thing_wrong_is_told() -> None:
    wrong = "&$nothing=1&limit=0&sunk=never&cursor=x"
    with pytest.raises(InvalidRequest) as unknown:
        asked(wrong)
    assert unknown.value.faults[0].code == "unknown_option"
    with pytest.raises(InvalidLimit):
        asked(wrong.replace("$nothing", "nothing"))
    with pytest.raises(InvalidRequest):
        asked("sunk=never&cursor=x")

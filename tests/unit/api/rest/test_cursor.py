import hmac
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.rest import cursor as module
from api.rest.cursor import MAX_LENGTH, CursorKeys, Cursors, ListName, Place, rows_digest
from domain.chats.listing import CHAT_LIST
from domain.errors import InvalidCursor
from domain.filters import Among, And, Compare, Field, Kind, ListShape, Not, Operand, Operator, Or, OrderKey, Value
from domain.ids import ChatId, TenantId, UserId
from domain.messages.listing import MESSAGE_LIST
from domain.pagination import Position, Travel

KEY = b"a" * 32
NAME = ListName(
    resource="messages",
    tenant_id=TenantId(UUID(int=1)),
    user_id=UserId(UUID(int=2)),
    parent=ChatId(UUID(int=3)),
    rows=rows_digest(None, {}),
)
TIME, ID = CHAT_LIST.default_order[0].field, CHAT_LIST.unique
PLACE = Place(
    order=CHAT_LIST.default_order,
    position=Position(keys=(datetime(2026, 3, 1, 9, 30, tzinfo=UTC), UUID(int=9)), travel=Travel.BACKWARD),
)
CURSORS = Cursors(CursorKeys(current=KEY))
CURSOR = CURSORS.seal(NAME, PLACE)

VALUES: dict[Kind, st.SearchStrategy[Value]] = {
    Kind.STRING: st.text(max_size=50),
    Kind.UUID: st.uuids(),
    Kind.TIME: st.datetimes(timezones=st.just(UTC)),
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.BOOL: st.booleans(),
}


def place_in(order: Sequence[OrderKey], travel: Travel, *keys: Value) -> Place:
    return Place(order=tuple(order), position=Position(keys=keys, travel=travel))


@st.composite
def places(draw: st.DrawFn, shape: ListShape) -> Place:
    fields = draw(st.lists(st.sampled_from(shape.fields), unique=True, min_size=1))
    order = shape.total([OrderKey(field, descending=draw(st.booleans())) for field in fields])
    keys = [draw(VALUES[key.field.kind] | st.none() if key.field.nullable else VALUES[key.field.kind]) for key in order]
    place = place_in(order, draw(st.sampled_from(Travel)), *keys)
    return replace(place, position=replace(place.position, including=draw(st.booleans())))


@pytest.mark.parametrize("shape", [CHAT_LIST, MESSAGE_LIST])
@given(data=st.data())
def test_a_place_survives_the_journey(shape: ListShape, data: st.DataObject) -> None:
    place = data.draw(places(shape))
    assert CURSORS.open(NAME, shape, CURSORS.seal(NAME, place)) == place


def test_a_cursor_is_short_and_needs_no_escaping_in_a_query() -> None:
    assert len(CURSOR) < 150
    assert set(CURSOR) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


def test_the_largest_row_in_the_longest_order_fits() -> None:
    moment = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    largest: dict[str, Value] = {"title": "\U0010ffff" * 255, "model": "m" * 128, "role": "assistant", "seq": 2**63 - 1}
    of_a_kind: dict[Kind, Value] = {Kind.TIME: moment, Kind.UUID: UUID(int=2**128 - 1), Kind.BOOL: True}
    for shape in (CHAT_LIST, MESSAGE_LIST):
        last = (*(field for field in shape.fields if field != shape.unique), shape.unique)
        keys = [largest[field.name] if field.name in largest else of_a_kind[field.kind] for field in last]
        place = place_in([OrderKey(field, descending=True) for field in last], Travel.BACKWARD, *keys)
        cursor = CURSORS.seal(NAME, place)
        assert len(cursor) <= MAX_LENGTH
        assert CURSORS.open(NAME, shape, cursor) == place


@pytest.mark.parametrize(
    "other",
    [
        replace(NAME, resource="chats"),
        replace(NAME, tenant_id=TenantId(UUID(int=7))),
        replace(NAME, user_id=UserId(UUID(int=7))),
        replace(NAME, parent=ChatId(UUID(int=7))),
        replace(NAME, parent=None),
        replace(NAME, rows=rows_digest(None, {"deleted": "only"})),
        replace(NAME, rows=rows_digest(Compare(Operand(ID), Operator.EQ, UUID(int=9)), {})),
    ],
)
def test_a_cursor_of_another_list_does_not_open(other: ListName) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open(other, CHAT_LIST, CURSOR)


TITLE, LOWERED = Operand(CHAT_LIST.fields[1]), Operand(CHAT_LIST.fields[1], lowered=True)
FILTERS = (
    None,
    Compare(TITLE, Operator.EQ, "a"),
    Compare(TITLE, Operator.EQ, None),
    Compare(TITLE, Operator.EQ, ""),
    Compare(TITLE, Operator.NE, "a"),
    Compare(LOWERED, Operator.EQ, "a"),
    Compare(Operand(CHAT_LIST.fields[4]), Operator.EQ, "a"),
    Among(TITLE, ("a",)),
    Among(TITLE, ("a", "b")),
    Not(Among(TITLE, ("a", "b"))),
    And((Compare(TITLE, Operator.EQ, "a"), Compare(TITLE, Operator.EQ, "b"))),
    Or((Compare(TITLE, Operator.EQ, "a"), Compare(TITLE, Operator.EQ, "b"))),
    Or((Compare(TITLE, Operator.EQ, "b"), Compare(TITLE, Operator.EQ, "a"))),
)


def test_every_difference_of_filters_and_options_is_one_of_digests() -> None:
    options: tuple[dict[str, str], ...] = ({}, {"deleted": "only"}, {"deleted": ""}, {"a": "b", "c": "d"})
    digests = {rows_digest(condition, given) for condition in FILTERS for given in options}
    assert len(digests) == len(FILTERS) * len(options)
    assert rows_digest(None, {"a": "b", "c": "d"}) == rows_digest(None, {"c": "d", "a": "b"})


def test_no_changed_character_goes_unnoticed() -> None:
    for index, character in enumerate(CURSOR):
        for other in "AB_" if character not in "AB_" else "xyz":
            with pytest.raises(InvalidCursor):
                CURSORS.open(NAME, CHAT_LIST, CURSOR[:index] + other + CURSOR[index + 1 :])


def test_no_part_of_a_cursor_is_a_cursor() -> None:
    for length in range(len(CURSOR)):
        with pytest.raises(InvalidCursor):
            CURSORS.open(NAME, CHAT_LIST, CURSOR[:length])


@pytest.mark.parametrize(
    "text",
    ["", "A", "AAAA", "!", "é", "\0", " ", "A" * MAX_LENGTH, "A" * (MAX_LENGTH + 1), f"{CURSOR}!!", f"{CURSOR}AAAA",
     f"{CURSOR}=", f" {CURSOR}", f"{CURSOR}\n", CURSOR.swapcase(), CURSOR * 2],
)  # fmt: skip
def test_garbage_does_not_open(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open(NAME, CHAT_LIST, text)


@given(st.text() | st.text("AZaz09-_", max_size=300))
def test_no_text_opens_or_breaks_anything(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open(NAME, CHAT_LIST, text)


@given(st.binary(max_size=300))
def test_no_bytes_under_the_right_key_id_open(rest: bytes) -> None:
    token = hmac.digest(KEY, b"cursor key id", "sha256")[:4] + rest
    with pytest.raises(InvalidCursor):
        CURSORS.open(NAME, CHAT_LIST, urlsafe_b64encode(token).rstrip(b"=").decode())


def sealed(payload: bytes) -> str:
    """What a process of another version, with our key, may have written."""
    seal = module._seal(KEY, NAME, payload)
    token = hmac.digest(KEY, b"cursor key id", "sha256")[:4] + seal + payload
    return urlsafe_b64encode(token).rstrip(b"=").decode()


MOMENT = datetime(2026, 3, 1, tzinfo=UTC)
ID_KEY = msgspec.msgpack.Ext(1, UUID(int=9).bytes)


def test_our_own_payload_is_what_these_tests_think() -> None:
    cursor = sealed(msgspec.msgpack.encode(("f", False, ["-updated_at", "id"], [MOMENT, ID_KEY])))
    order = (OrderKey(TIME, descending=True), OrderKey(ID))
    assert CURSORS.open(NAME, CHAT_LIST, cursor) == place_in(order, Travel.FORWARD, MOMENT, UUID(int=9))


@pytest.mark.parametrize(
    "payload",
    [
        ("f", False, ["gone", "id"], [MOMENT, ID_KEY]),
        ("f", False, ["seq"], [1]),
        ("f", False, ["updated_at"], [MOMENT]),
        ("f", False, ["id", "updated_at"], [ID_KEY, MOMENT]),
        ("f", False, ["--updated_at", "id"], [MOMENT, ID_KEY]),
        ("f", False, [], []),
        ("f", False, ["id"], []),
        ("f", False, ["id"], [ID_KEY, ID_KEY]),
        ("f", False, ["id"], [None]),
        ("f", False, ["id"], [str(UUID(int=9))]),
        ("f", False, ["id"], [9]),
        ("f", False, ["updated_at", "id"], ["2026-03-01T00:00:00Z", ID_KEY]),
        ("f", False, ["is_favorite", "id"], [1, ID_KEY]),
        ("f", False, ["title", "id"], [1, ID_KEY]),
        ("f", False, ["title", "id"], [["a"], ID_KEY]),
        ("f", False, ["title", "id"], [{"a": 1}, ID_KEY]),
        ("f", False, ["id"], [msgspec.msgpack.Ext(1, b"short")]),
        ("x", False, ["id"], [ID_KEY]),
        ("f", 1, ["id"], [ID_KEY]),
        ("f", False, "id", [ID_KEY]),
        ("f", False, [1], [ID_KEY]),
        ("f", False, ["id"]),
        ("f", False, ["id"], [ID_KEY], 1),
        {"travel": "f"},
        None,
    ],
)
def test_a_sealed_place_that_is_none_in_this_list_does_not_open(payload: Any) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open(NAME, CHAT_LIST, sealed(msgspec.msgpack.encode(payload)))


@given(st.binary(max_size=100))
def test_no_sealed_bytes_break_anything(payload: bytes) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open(NAME, CHAT_LIST, sealed(payload))


@given(places(CHAT_LIST))
def test_a_place_of_a_list_with_other_fields_does_not_open(place: Place) -> None:
    assume(any(key.field.name != "id" for key in place.order))
    fewer = ListShape(fields=(ID,), unique=ID, default_order=(OrderKey(ID),))
    moved = Field("id", Kind.STRING)
    for shape in (fewer, ListShape(fields=(moved,), unique=moved, default_order=(OrderKey(moved),))):
        with pytest.raises(InvalidCursor):
            CURSORS.open(NAME, shape, CURSORS.seal(NAME, place))


def test_a_cursor_of_another_version_does_not_open(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_VERSION", 1)
    with pytest.raises(InvalidCursor):
        CURSORS.open(NAME, CHAT_LIST, CURSOR)


def test_cursors_of_the_previous_key_open_and_those_of_a_forgotten_one_do_not() -> None:
    rotated = Cursors(CursorKeys(current=b"b" * 32, previous=KEY))
    assert rotated.open(NAME, CHAT_LIST, CURSOR) == PLACE
    assert rotated.seal(NAME, PLACE) != CURSOR
    with pytest.raises(InvalidCursor):
        Cursors(CursorKeys(current=b"b" * 32)).open(NAME, CHAT_LIST, CURSOR)

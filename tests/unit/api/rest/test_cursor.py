from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.rest.cursor import MAX_LENGTH, CursorKeys, Cursors, ListName
from domain.errors import InvalidCursor
from domain.filters import Value
from domain.ids import ChatId, TenantId, UserId
from domain.pagination import Position, Travel

NAME = ListName(
    resource="messages",
    tenant_id=TenantId(UUID(int=1)),
    user_id=UserId(UUID(int=2)),
    parent=ChatId(UUID(int=3)),
)
POSITION = Position(keys=(datetime(2026, 3, 1, 9, 30, tzinfo=UTC), UUID(int=9)), travel=Travel.BACKWARD)
CURSORS = Cursors(CursorKeys(current=b"a" * 32))


KEYS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=50),
    st.uuids(),
    st.datetimes(timezones=st.just(UTC)),
)


@given(st.lists(KEYS, max_size=4), st.sampled_from(Travel))
def test_a_position_survives_the_journey(keys: list[Value], travel: Travel) -> None:
    position = Position(keys=tuple(keys), travel=travel)
    assert CURSORS.open(NAME, CURSORS.seal(NAME, position)) == position


def test_a_cursor_is_short_and_needs_no_escaping_in_a_query() -> None:
    cursor = CURSORS.seal(NAME, POSITION)
    assert len(cursor) < 200
    assert set(cursor) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@pytest.mark.parametrize(
    "other",
    [
        replace(NAME, resource="chats"),
        replace(NAME, rows=(("deleted", "only"),)),
        replace(NAME, tenant_id=TenantId(UUID(int=7))),
        replace(NAME, user_id=UserId(UUID(int=7))),
        replace(NAME, parent=ChatId(UUID(int=7))),
        replace(NAME, parent=None),
    ],
)
def test_a_cursor_of_another_list_does_not_open(other: ListName) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open(other, CURSORS.seal(NAME, POSITION))


def test_no_changed_character_goes_unnoticed() -> None:
    cursor = CURSORS.seal(NAME, Position(keys=(12,), travel=Travel.FORWARD))
    for index in range(len(cursor) - 1):
        changed = cursor[:index] + ("A" if cursor[index] != "A" else "B") + cursor[index + 1 :]
        with pytest.raises(InvalidCursor):
            CURSORS.open(NAME, changed)


@pytest.mark.parametrize(
    "text",
    ["", "A", "AAAA", "!", "é", "\0", " ", "A" * (MAX_LENGTH + 1), CURSORS.seal(NAME, POSITION) + "!!"],
)
def test_garbage_does_not_open(text: str) -> None:
    with pytest.raises(InvalidCursor):
        CURSORS.open(NAME, text)


def test_cursors_of_the_previous_key_open_and_those_of_a_forgotten_one_do_not() -> None:
    old = CURSORS.seal(NAME, POSITION)
    rotated = Cursors(CursorKeys(current=b"b" * 32, previous=b"a" * 32))
    assert rotated.open(NAME, old) == POSITION
    assert rotated.seal(NAME, POSITION) != old
    with pytest.raises(InvalidCursor):
        Cursors(CursorKeys(current=b"b" * 32)).open(NAME, old)

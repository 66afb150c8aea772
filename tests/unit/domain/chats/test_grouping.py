"""Which group a chat of a page belongs to, by the calendar of the person who looks."""

from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import pytest

from domain.chats.grouping import ChatGroup, GroupKey, grouped
from domain.chats.models import Chat
from domain.ids import ChatId, UserId


def a_chat(updated_at: datetime, *, favorite: bool = False) -> Chat:
    return Chat(
        id=ChatId(uuid4()),
        user_id=UserId(UUID(int=1)),
        model="m",
        title=None,
        is_temporary=False,
        is_favorite=favorite,
        metadata={},
        message_count=0,
        created_at=updated_at,
        updated_at=updated_at,
    )


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def group_of(updated_at: str, now: str, zone: str) -> tuple[str, str | None]:
    (group,) = grouped([a_chat(at(updated_at))], at(now), ZoneInfo(zone))
    return group.key.value, None if group.date is None else group.date.isoformat()


@pytest.mark.parametrize(
    ("updated_at", "expected"),
    [
        ("2026-03-15T12:00:00+00:00", ("today", "2026-03-15")),
        ("2026-03-15T00:00:00+00:00", ("today", "2026-03-15")),
        ("2026-03-14T23:59:59.999999+00:00", ("yesterday", "2026-03-14")),
        ("2026-03-14T00:00:00+00:00", ("yesterday", "2026-03-14")),
        ("2026-03-13T23:59:59.999999+00:00", ("last_7_days", None)),
        ("2026-03-09T00:00:00+00:00", ("last_7_days", None)),
        ("2026-03-08T23:59:59.999999+00:00", ("last_30_days", None)),
        ("2026-02-14T00:00:00+00:00", ("last_30_days", None)),
        ("2026-02-13T23:59:59.999999+00:00", ("older", None)),
        ("1970-01-01T00:00:00+00:00", ("older", None)),
    ],
)
def test_days_are_counted_from_midnight_to_midnight(updated_at: str, expected: tuple[str, str | None]) -> None:
    assert group_of(updated_at, "2026-03-15T12:00:00+00:00", "UTC") == expected


@pytest.mark.parametrize("updated_at", ["2026-03-15T12:00:01+00:00", "2026-03-17T00:00:00+00:00"])
def test_what_the_database_calls_later_is_today(updated_at: str) -> None:
    assert group_of(updated_at, "2026-03-15T12:00:00+00:00", "UTC") == ("today", "2026-03-15")


@pytest.mark.parametrize(
    ("zone", "expected"),
    [
        ("UTC", ("today", "2026-06-10")),
        ("Pacific/Kiritimati", ("yesterday", "2026-06-10")),
        ("Pacific/Auckland", ("yesterday", "2026-06-10")),
        ("Pacific/Pago_Pago", ("yesterday", "2026-06-09")),
        ("America/New_York", ("yesterday", "2026-06-09")),
        ("Asia/Kathmandu", ("today", "2026-06-10")),
    ],
)
def test_the_zone_decides_on_both_sides_of_the_date_line(zone: str, expected: tuple[str, str | None]) -> None:
    assert group_of("2026-06-10T02:00:00+00:00", "2026-06-10T17:00:00+00:00", zone) == expected


@pytest.mark.parametrize(
    ("updated_at", "now", "zone", "expected"),
    [
        # 23 hours: spring forward in Berlin, 2026-03-29.
        ("2026-03-28T23:00:00+00:00", "2026-03-29T21:59:59+00:00", "Europe/Berlin", ("today", "2026-03-29")),
        ("2026-03-28T23:00:00+00:00", "2026-03-29T22:00:00+00:00", "Europe/Berlin", ("yesterday", "2026-03-29")),
        ("2026-03-28T22:59:59+00:00", "2026-03-29T21:59:59+00:00", "Europe/Berlin", ("yesterday", "2026-03-28")),
        # 25 hours: fall back in Berlin, 2026-10-25.
        ("2026-10-24T22:00:00+00:00", "2026-10-25T22:59:59+00:00", "Europe/Berlin", ("today", "2026-10-25")),
        ("2026-10-24T22:00:00+00:00", "2026-10-25T23:00:00+00:00", "Europe/Berlin", ("yesterday", "2026-10-25")),
        # Midnight itself does not exist: Cairo, 2026-04-24.
        ("2026-04-23T21:59:59+00:00", "2026-04-23T22:00:00+00:00", "Africa/Cairo", ("yesterday", "2026-04-23")),
        # A leap day, and the year without one.
        ("2028-02-29T12:00:00+00:00", "2028-03-01T12:00:00+00:00", "UTC", ("yesterday", "2028-02-29")),
        ("2027-02-28T12:00:00+00:00", "2027-03-01T12:00:00+00:00", "UTC", ("yesterday", "2027-02-28")),
        ("2028-02-28T12:00:00+00:00", "2028-03-01T12:00:00+00:00", "UTC", ("last_7_days", None)),
        # The turn of a year.
        ("2025-12-31T23:59:59+00:00", "2026-01-01T00:00:00+00:00", "UTC", ("yesterday", "2025-12-31")),
        # Samoa had no 30 December 2011: by the calendar the 29th is two days before the 31st.
        ("2011-12-30T09:59:59+00:00", "2011-12-30T10:00:00+00:00", "Pacific/Apia", ("last_7_days", None)),
    ],
)
def test_days_of_other_lengths_are_days(updated_at: str, now: str, zone: str, expected: tuple[str, str | None]) -> None:
    assert group_of(updated_at, now, zone) == expected


def test_favourites_stand_first_whenever_they_were_active_and_empty_groups_not_at_all() -> None:
    now = datetime(2026, 3, 15, 12, tzinfo=UTC)
    chats = [a_chat(now - timedelta(days=days), favorite=days in {0, 50}) for days in (0, 0, 3, 1, 50, 4, 40)]
    chats[1] = a_chat(now)
    ids = [chat.id for chat in chats]
    assert grouped(chats, now, UTC) == (
        ChatGroup(key=GroupKey.FAVORITES, date=None, ids=(ids[0], ids[4])),
        ChatGroup(key=GroupKey.TODAY, date=date(2026, 3, 15), ids=(ids[1],)),
        ChatGroup(key=GroupKey.YESTERDAY, date=date(2026, 3, 14), ids=(ids[3],)),
        ChatGroup(key=GroupKey.LAST_7_DAYS, date=None, ids=(ids[2], ids[5])),
        ChatGroup(key=GroupKey.OLDER, date=None, ids=(ids[6],)),
    )
    assert grouped([], now, UTC) == ()

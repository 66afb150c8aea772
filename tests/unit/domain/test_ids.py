from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.ids import uuid7

MOMENT = datetime(2026, 11, 20, 13, 36, 28, 123_456, tzinfo=UTC)


@given(moment=st.datetimes(min_value=datetime(1970, 1, 1), max_value=datetime(2999, 1, 1)))  # noqa: DTZ001 - made aware below
def test_an_id_is_a_version_7_uuid_that_begins_with_its_milliseconds(moment: datetime) -> None:
    moment = moment.replace(tzinfo=UTC)
    made = uuid7(moment)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert abs((made.int >> 80) - (moment - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(milliseconds=1)) < 1.01


def test_ids_of_later_milliseconds_are_greater() -> None:
    assert uuid7(MOMENT) < uuid7(MOMENT + timedelta(milliseconds=1))


def test_ids_of_one_moment_differ() -> None:
    assert len({uuid7(MOMENT) for _ in range(1_000)}) == 1_000

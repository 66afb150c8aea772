"""engine.md 4.2: days and months of UTC."""

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.quotas.periods import Period, PeriodType, periods_at

MOMENTS = [
    (datetime(2026, 3, 1, 9, 30, tzinfo=UTC), date(2026, 3, 1), date(2026, 3, 1)),
    (datetime(2026, 3, 31, 23, 59, 59, 999_999, tzinfo=UTC), date(2026, 3, 31), date(2026, 3, 1)),
    (datetime(2026, 4, 1, tzinfo=UTC), date(2026, 4, 1), date(2026, 4, 1)),
    (datetime(2026, 4, 1, 1, tzinfo=timezone(timedelta(hours=2))), date(2026, 3, 31), date(2026, 3, 1)),
    (datetime(2028, 2, 29, 12, tzinfo=UTC), date(2028, 2, 29), date(2028, 2, 1)),
    (datetime(2038, 1, 19, 3, 14, 8, tzinfo=UTC), date(2038, 1, 19), date(2038, 1, 1)),
]


@pytest.mark.parametrize(("moment", "day", "month"), MOMENTS)
def test_a_moment_belongs_to_one_day_and_one_month_of_utc(moment: datetime, day: date, month: date) -> None:
    assert periods_at(moment) == (Period(PeriodType.DAILY, day), Period(PeriodType.MONTHLY, month))


RESETS = [
    (Period(PeriodType.DAILY, date(2026, 12, 31)), datetime(2027, 1, 1, tzinfo=UTC)),
    (Period(PeriodType.DAILY, date(2028, 2, 28)), datetime(2028, 2, 29, tzinfo=UTC)),
    (Period(PeriodType.MONTHLY, date(2026, 12, 1)), datetime(2027, 1, 1, tzinfo=UTC)),
    (Period(PeriodType.MONTHLY, date(2026, 2, 1)), datetime(2026, 3, 1, tzinfo=UTC)),
]


@pytest.mark.parametrize(("period", "reset"), RESETS)
def test_a_period_is_reset_when_the_next_one_begins(period: Period, reset: datetime) -> None:
    assert period.next_reset == reset


@given(st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2100, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the strategy adds the zone
def test_no_moment_falls_between_two_periods(moment: datetime) -> None:
    for period in periods_at(moment):
        before, after = period.next_reset - timedelta(microseconds=1), period.next_reset
        assert moment < after
        assert period in periods_at(before)
        assert period not in periods_at(after)

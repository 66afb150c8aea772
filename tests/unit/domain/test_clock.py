import re
from datetime import UTC, datetime, timedelta, timezone

from hypothesis import given
from hypothesis import strategies as st
from typing_extensions import override

from domain.clock import SystemClock, elapsed_ms, utc_text

AWARE = st.datetimes(min_value=datetime(1000, 1, 1), max_value=datetime(9000, 1, 1), timezones=st.timezones())  # noqa: DTZ001 - `timezones` makes them aware


@given(moment=AWARE)
def test_a_moment_is_written_in_utc_with_six_digits_and_reads_back(moment: datetime) -> None:
    text = utc_text(moment)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert datetime.fromisoformat(text) == moment.astimezone(UTC)


@given(one=AWARE, other=AWARE)
def test_written_moments_sort_as_the_moments_do(one: datetime, other: datetime) -> None:
    assert (utc_text(one) < utc_text(other)) == (one.astimezone(UTC) < other.astimezone(UTC))


def test_another_zone_is_the_same_moment() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone(timedelta(hours=2)))
    assert utc_text(noon) == "2026-01-01T10:00:00.000000Z"


def test_the_system_clock_is_aware_and_never_runs_backwards() -> None:
    clock = SystemClock()
    assert clock.now().tzinfo is UTC
    assert clock.monotonic() <= clock.monotonic()


def test_elapsed_time_is_whole_milliseconds() -> None:
    class Frozen(SystemClock):
        @override
        def monotonic(self) -> float:
            return 115.6199

    assert elapsed_ms(Frozen(), 100.0) == 15_619

from datetime import timedelta

import pytest

from app.durations import duration, duration_text


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("1ms", timedelta(milliseconds=1)),
        ("250ms", timedelta(milliseconds=250)),
        ("30s", timedelta(seconds=30)),
        ("10m", timedelta(minutes=10)),
        ("1h", timedelta(hours=1)),
        ("7d", timedelta(days=7)),
        ("0s", timedelta(0)),
    ],
)
def test_a_duration_reads_back_as_it_was_written(text: str, span: timedelta) -> None:
    assert duration(text) == span
    assert duration_text(span) == text


def test_the_largest_unit_that_is_exact_is_written() -> None:
    assert duration_text(timedelta(seconds=90)) == "90s"
    assert duration_text(timedelta(seconds=120)) == "2m"
    assert duration_text(timedelta(milliseconds=1500)) == "1500ms"


@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "1.5s", "5 s", "5S", "5min", "1m30s", "PT5S", "5s\n", "\u0665s", "9999999999s"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        duration(text)

"""Where a stream is resumed: a header, else an option, else the beginning."""

import pytest
from litestar.datastructures import Headers

from api.rest.turns.position import position_of
from domain.errors import InvalidRequest


@pytest.mark.parametrize(
    ("header", "query", "position"),
    [
        (None, b"", 0),
        (None, b"after=7", 7),
        (None, b"limit=3&after=007", 7),
        ("5", b"after=7", 5),
        ("0", b"after=7", 0),
        ("999999999999999999", b"", 999_999_999_999_999_999),
    ],
)
def test_the_header_wins_over_the_option_and_the_beginning_is_0(
    header: str | None, query: bytes, position: int
) -> None:
    headers = Headers({} if header is None else {"Last-Event-ID": header})
    assert position_of(headers, query) == position


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.0", "x", "\N{ARABIC-INDIC DIGIT ONE}", "1" * 19, "1\n"])
def test_what_is_no_number_of_an_event_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest) as by_header:
        position_of(Headers({"Last-Event-ID": text}), b"after=1")
    with pytest.raises(InvalidRequest) as by_option:
        position_of(Headers({}), b"after=" + text.replace("+", "%2B").encode())
    assert [refused.value.faults[0].field for refused in (by_header, by_option)] == ["Last-Event-ID", "after"]


def test_a_position_given_twice_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        position_of(Headers({}), b"after=1&after=1")


def test_a_query_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        position_of(Headers({}), b"\xff=1")

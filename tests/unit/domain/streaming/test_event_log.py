from hypothesis import given
from hypothesis import strategies as st

from domain.streaming.event_log import MOST_BYTES, MOST_EVENTS, EventLog
from domain.streaming.events import Delta, Numbered
from tests.unit.domain.streaming.samples import CITATIONS

KIB = 1024


def a_log(events: int, text: str = "a") -> EventLog:
    """Of equal deltas, looked at as often as it asks for, for readers who have taken everything."""
    log = EventLog()
    for _ in range(events):
        append(log, text)
    return log


def append(log: EventLog, text: str, taken: int | None = None) -> None:
    log.append(Delta("text", text))
    if log.last >= log.due:
        log.let_go(log.last if taken is None else taken)


def held(log: EventLog) -> list[Numbered]:
    return log.since(0)


@given(events=st.integers(min_value=0, max_value=200), position=st.integers(min_value=0, max_value=210))
def test_a_log_answers_as_one_that_looks_at_every_event(events: int, position: int) -> None:
    """The position may be ahead of the newest event."""
    log = EventLog()
    for number in range(1, events + 1):
        append(log, str(number))
    everything = [(number, Delta("text", str(number))) for number in range(1, events + 1)]
    assert log.last == events
    assert log.since(position) == everything[position:]
    assert log.holds(position) == (1 <= position <= events)


def test_a_log_keeps_the_newest_events_and_never_more_than_its_bound() -> None:
    log = EventLog()
    for _ in range(3 * MOST_EVENTS):
        append(log, "a")
        assert len(held(log)) <= MOST_EVENTS
    assert len(held(log)) > MOST_EVENTS // 2
    assert held(log)[-1][0] == 3 * MOST_EVENTS


def test_numbers_count_on_over_what_was_let_go() -> None:
    log = a_log(3 * MOST_EVENTS)
    (first, _), *_ = held(log)
    assert [number for number, _ in held(log)] == list(range(first, log.last + 1))
    assert not log.holds(first - 1)
    assert log.holds(first)
    assert log.since(first - 2) == held(log)


def test_large_texts_are_let_go_by_their_size_in_bytes() -> None:
    assert len(held(a_log(640, "a" * 4 * KIB))) == MOST_BYTES // (4 * KIB)
    assert len(held(a_log(640, "é" * 2 * KIB))) == MOST_BYTES // (4 * KIB)


def test_an_event_that_is_larger_than_the_log_is_the_only_one_left() -> None:
    log = a_log(64, "a" * 2 * MOST_BYTES)
    assert [number for number, _ in held(log)] == [64]
    assert log.since(63) == [(64, Delta("text", "a" * 2 * MOST_BYTES))]


def test_what_a_reader_still_has_to_take_stays() -> None:
    log = EventLog()
    for _ in range(4 * MOST_EVENTS):
        append(log, "a", taken=10)
    assert [number for number, _ in held(log)] == list(range(11, log.last + 1))


def test_events_of_every_kind_have_a_size() -> None:
    log = a_log(63)
    log.append(CITATIONS)
    log.let_go(log.last)
    assert len(held(log)) == 64

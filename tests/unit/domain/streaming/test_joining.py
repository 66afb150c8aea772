"""Readers who come while a turn runs: what they have missed first, then what the others get."""

from datetime import timedelta

import anyio
import pytest

from domain.errors import RateLimited
from domain.streaming.channel import Receiver
from domain.streaming.event_log import MOST_EVENTS
from domain.streaming.events import Delta, Done, Numbered, StreamEvent, StreamStarted
from domain.streaming.feed import Feed
from domain.streaming.models import StreamLimits
from tests.unit.domain.streaming.samples import CITATIONS, DELTA, DONE, STARTED, TOOL, numbers, read_all

LATER = timedelta(seconds=5)
AGAIN = StreamStarted(request_id="r", message_id="m", is_new_turn=False)
WORDS = [f"word{number} " for number in range(37)]


class Turn:
    """A feed with what it has said so far; `first` is the reader that the turn was started with."""

    def __init__(self, capacity: int = 32) -> None:
        self.deserted = anyio.Event()
        self.text = ""
        self.feed = Feed(capacity, self.deserted.set)
        self.first = self.feed.attach(LATER)
        self.publish(STARTED)

    def publish(self, *events: StreamEvent) -> None:
        for event in events:
            self.text += event.content if isinstance(event, Delta) else ""
            self.feed.publish(event)

    def join(self, position: int, reader_deadline: timedelta = LATER) -> Receiver:
        return self.feed.join(position, AGAIN, lambda: self.text, StreamLimits(reader_deadline=reader_deadline))


def shown(before: list[Numbered], body: list[Numbered]) -> str:
    """What a client shows that had `before` and follows the rule of api.md 4.6."""
    if body and isinstance(body[0][1], StreamStarted):
        before = []
    return "".join(event.content for _, event in [*before, *body] if isinstance(event, Delta))


async def a_turn_of_forty(joined_at: int, position: int) -> list[Numbered]:
    """Its body for a reader who joins when `joined_at` events have been published."""
    turn, joined = Turn(), None
    events: list[StreamEvent] = [*(Delta("text", word) for word in WORDS), TOOL, DONE]
    for number, event in enumerate(events, start=1):
        if number == joined_at:
            joined = turn.join(position)
        turn.publish(event)
        await turn.first.receive()
    assert joined is not None
    turn.feed.close()
    with anyio.fail_after(5):
        return await read_all(joined)


@pytest.mark.parametrize("position", range(40))
async def test_at_every_position_a_reader_gets_exactly_what_it_missed(position: int) -> None:
    told: list[Numbered] = [(number, Delta("text", word)) for number, word in enumerate(WORDS, start=2)]
    had = told[: max(position - 1, 0)]
    for joined_at in (1, 20, 39):
        body = await a_turn_of_forty(joined_at, position)
        assert numbers(body) == list(range(position + 1, 41))
        assert shown(had, body) == "".join(WORDS)
        assert isinstance(body[-1][1], Done)


async def test_the_turn_is_new_to_the_reader_that_it_was_started_with_only() -> None:
    turn = Turn()
    assert await turn.first.receive() == [(1, STARTED)]
    assert await turn.join(0).receive() == [(1, AGAIN)]


async def test_where_the_log_begins_later_all_text_comes_at_once_as_the_newest_event() -> None:
    turn = Turn()
    turn.first.leave()
    turn.publish(*[DELTA] * 2 * MOST_EVENTS)
    joined = turn.join(5)
    turn.publish(DELTA)
    newest = 2 * MOST_EVENTS + 1
    assert list(await joined.receive()) == [(1, AGAIN), (newest, Delta("text", "a" * 2 * MOST_EVENTS))]
    assert list(await joined.receive()) == [(newest + 1, DELTA)]


async def test_citations_follow_the_text_that_comes_at_once() -> None:
    turn = Turn()
    turn.first.leave()
    turn.publish(*[DELTA] * 2 * MOST_EVENTS, CITATIONS)
    newest = 2 * MOST_EVENTS + 2
    told = await turn.join(1).receive()
    assert [(number, type(event)) for number, event in told] == [
        (1, StreamStarted),
        (newest - 1, Delta),
        (newest, type(CITATIONS)),
    ]


async def test_a_reader_without_text_to_catch_up_with_gets_the_start_alone() -> None:
    turn = Turn()
    turn.first.leave()
    turn.publish(*[TOOL] * 2 * MOST_EVENTS)
    assert await turn.join(1).receive() == [(1, AGAIN)]


async def test_a_position_that_is_still_to_come_is_waited_for() -> None:
    turn = Turn()
    joined = turn.join(3)
    got: list[Numbered] = []

    async def read() -> None:
        while not joined.ended:
            got.extend(await joined.receive())

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            for event in (DELTA, DELTA, DELTA):
                await anyio.wait_all_tasks_blocked()
                turn.publish(event)
            await anyio.wait_all_tasks_blocked()
            assert numbers(got) == [4]
            turn.feed.end(DONE)
    assert numbers(got) == [4, 5]


async def test_a_position_that_never_comes_ends_with_the_turn() -> None:
    turn = Turn()
    joined = turn.join(100)
    turn.publish(DELTA)
    turn.feed.end(DONE)
    with anyio.fail_after(5):
        assert await read_all(joined) == []


async def test_what_a_reader_missed_holds_nobody_up() -> None:
    turn = Turn(capacity=4)
    for _ in range(20):
        turn.publish(DELTA)
        await turn.first.receive()
    joined = turn.join(0)
    assert not turn.feed.full
    assert len(await joined.receive()) == 21


async def test_what_is_still_to_be_taken_is_not_let_go() -> None:
    turn = Turn()
    joined = turn.join(0)
    turn.publish(*[DELTA] * 2 * MOST_EVENTS)
    assert numbers(await joined.receive()) == [1]
    assert numbers(await joined.receive()) == list(range(2, 2 * MOST_EVENTS + 2))


async def test_a_turn_has_at_most_eight_readers() -> None:
    turn = Turn()
    joined = [turn.join(0) for _ in range(7)]
    with pytest.raises(RateLimited) as refused:
        turn.join(0)
    assert refused.value.retry_after is not None
    joined[0].leave()
    turn.join(0)


async def test_who_joins_instead_of_another_takes_its_place() -> None:
    turn = Turn()
    joined = [turn.feed.join(0, AGAIN, str, StreamLimits()) for _ in range(7)]
    instead = turn.feed.join(0, AGAIN, str, StreamLimits(), instead_of=joined[0])
    joined[0].leave()
    assert not instead.ended
    with pytest.raises(RateLimited):
        turn.feed.join(0, AGAIN, str, StreamLimits(), instead_of=joined[0])


async def test_a_turn_is_deserted_when_the_last_who_joined_has_left_too() -> None:
    turn = Turn()
    joined = turn.join(0)
    turn.first.leave()
    assert not turn.deserted.is_set()
    joined.leave()
    assert turn.deserted.is_set()


async def test_who_joins_and_never_reads_counts_as_left() -> None:
    turn = Turn()
    turn.first.leave()
    turn.join(0, timedelta(milliseconds=1))
    with anyio.fail_after(5):
        await turn.deserted.wait()

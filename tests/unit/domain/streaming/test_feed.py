"""Readers of one turn: who waits for whom, who is dropped, and what nobody loses."""

from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest

from domain.streaming.channel import ReaderDropped
from domain.streaming.events import Delta, StreamEvent
from domain.streaming.feed import Feed
from domain.streaming.phase import PhaseViolation
from tests.unit.domain.streaming.samples import DELTA, DONE, EVENTS, STARTED, numbers, read_all

LATER = timedelta(seconds=5)
AT_ONCE = timedelta(milliseconds=1)


class Desertion:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def a_feed(capacity: int = 32, deserted: Callable[[], None] = lambda: None) -> Feed:
    feed = Feed(capacity, deserted)
    feed.publish(STARTED)
    return feed


async def test_waiting_events_come_together_and_in_order() -> None:
    feed = Feed(32, deserted=lambda: None)
    reader = feed.attach(LATER)
    feed.publish(STARTED)
    feed.publish(DELTA)
    assert await reader.receive() == [(1, STARTED), (2, DELTA)]
    assert reader.lag == 0


async def test_a_reader_gets_what_comes_after_it_attached() -> None:
    feed = a_feed()
    reader = feed.attach(LATER)
    feed.publish(DELTA)
    assert numbers(await reader.receive()) == [2]


async def test_a_waiting_reader_is_told_of_the_next_event() -> None:
    feed = a_feed()
    reader = feed.attach(LATER)
    got: list[int] = []

    async def read() -> None:
        got.extend(numbers(await reader.receive()))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            assert got == []
            feed.publish(DELTA)
    assert got == [2]


async def test_every_reader_gets_every_event() -> None:
    feed = Feed(32, deserted=lambda: None)
    readers = [feed.attach(LATER) for _ in range(3)]
    for event in (STARTED, DELTA, DELTA, DONE):
        feed.publish(event)
    feed.close()
    with anyio.fail_after(5):
        assert [numbers(await read_all(reader)) for reader in readers] == [[1, 2, 3, 4]] * 3


@pytest.mark.parametrize("event", [each for each in EVENTS if each is not STARTED])
async def test_an_event_out_of_place_is_neither_published_nor_numbered(event: StreamEvent) -> None:
    feed = Feed(32, deserted=lambda: None)
    reader = feed.attach(LATER)
    with pytest.raises(PhaseViolation):
        feed.publish(event)
    assert feed.next_number == 1
    feed.publish(STARTED)
    assert await reader.receive() == [(1, STARTED)]


async def test_nothing_follows_the_terminal_event() -> None:
    feed = a_feed()
    reader = feed.attach(LATER)
    feed.publish(DONE)
    with pytest.raises(PhaseViolation):
        feed.publish(DELTA)
    feed.close()
    assert numbers(await read_all(reader)) == [2]


async def test_a_feed_is_full_while_a_reader_is_a_channel_behind() -> None:
    feed = a_feed(capacity=2)
    reader = feed.attach(LATER)
    full = []
    for _ in range(3):
        feed.publish(DELTA)
        full.append(feed.full)
    await reader.receive()
    assert [*full, feed.full] == [False, True, True, False]


async def test_a_feed_nobody_reads_is_never_full() -> None:
    feed = a_feed(capacity=1)
    for _ in range(10):
        feed.publish(DELTA)
    assert not feed.full


async def test_the_turn_goes_on_as_soon_as_there_is_room() -> None:
    feed = a_feed(capacity=1)
    reader = feed.attach(LATER)
    feed.publish(DELTA)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.wait_for_room, timedelta(hours=1))
            await anyio.wait_all_tasks_blocked()
            await reader.receive()
    assert not reader.dropped


async def test_the_turn_waits_for_the_slowest_of_its_readers() -> None:
    feed = a_feed(capacity=1)
    quick, slow = feed.attach(LATER), feed.attach(LATER)
    feed.publish(DELTA)
    resumed = anyio.Event()

    async def wait() -> None:
        await feed.wait_for_room(timedelta(hours=1))
        resumed.set()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await quick.receive()
            await anyio.wait_all_tasks_blocked()
            assert not resumed.is_set()
            await slow.receive()


async def test_a_reader_without_room_for_the_whole_deadline_is_dropped_and_the_others_go_on() -> None:
    desertion = Desertion()
    feed = a_feed(capacity=2, deserted=desertion)
    quick, stalled = feed.attach(LATER), feed.attach(LATER)
    feed.publish(DELTA)
    feed.publish(DELTA)
    with anyio.fail_after(5):
        await quick.receive()
        await feed.wait_for_room(AT_ONCE)
        with pytest.raises(ReaderDropped):
            await stalled.receive()
        feed.publish(DELTA)
        assert numbers(await quick.receive()) == [4]
    assert desertion.count == 0


async def test_dropping_the_only_reader_deserts_the_turn() -> None:
    desertion = Desertion()
    feed = a_feed(capacity=1, deserted=desertion)
    feed.attach(LATER)
    feed.publish(DELTA)
    with anyio.fail_after(5):
        await feed.wait_for_room(AT_ONCE)
    assert desertion.count == 1


async def test_a_dropped_reader_is_told_so_while_it_waits_and_ever_after() -> None:
    feed = a_feed()
    reader = feed.attach(LATER)
    told: list[bool] = []

    async def read() -> None:
        with pytest.raises(ReaderDropped):
            await reader.receive()
        told.append(reader.ended)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            reader.drop()
    await read()
    assert told == [False, False]


async def test_a_cancelled_wait_loses_nothing() -> None:
    feed = a_feed()
    reader = feed.attach(LATER)
    feed.publish(Delta("text", "one"))
    await reader.receive()
    with anyio.move_on_after(0):
        await reader.receive()
    feed.publish(Delta("text", "two"))
    feed.publish(Delta("text", "three"))
    with anyio.fail_after(5):
        assert [event for _, event in await reader.receive()] == [Delta("text", "two"), Delta("text", "three")]


async def test_a_wait_cancelled_in_the_moment_of_the_event_loses_nothing() -> None:
    """The future is done and the task is cancelled before it runs: the event must still be there."""
    feed = a_feed()
    reader = feed.attach(LATER)
    got: list[int] = []

    async def read(scope: anyio.CancelScope) -> None:
        with scope:
            got.extend(numbers(await reader.receive()))

    scope = anyio.CancelScope()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read, scope)
            await anyio.wait_all_tasks_blocked()
            feed.publish(DELTA)
            scope.cancel()
        if not got:
            got.extend(numbers(await reader.receive()))
    assert got == [2]


async def test_waking_returns_a_waiting_reader_with_nothing() -> None:
    feed = a_feed()
    reader = feed.attach(LATER)
    got: list[object] = []

    async def read() -> None:
        got.append(list(await reader.receive()))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await anyio.wait_all_tasks_blocked()
            reader.wake()
    assert got == [[]]
    assert not reader.ended


async def test_closing_lets_readers_take_what_waits_and_then_ends_them() -> None:
    feed = a_feed()
    reader = feed.attach(LATER)
    feed.publish(DONE)
    feed.close()
    assert not reader.ended
    assert numbers(await reader.receive()) == [2]
    assert reader.ended


async def test_closing_ends_a_reader_that_waits() -> None:
    feed = a_feed()
    reader = feed.attach(LATER)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(reader.receive)
            await anyio.wait_all_tasks_blocked()
            feed.close()
    assert reader.ended


async def test_a_turn_is_deserted_once_when_its_last_reader_leaves() -> None:
    desertion = Desertion()
    feed = a_feed(deserted=desertion)
    first, last = feed.attach(LATER), feed.attach(LATER)
    first.leave()
    assert desertion.count == 0
    last.leave()
    last.leave()
    assert desertion.count == 1


async def test_leaving_an_ended_turn_deserts_nothing() -> None:
    desertion = Desertion()
    feed = a_feed(deserted=desertion)
    reader = feed.attach(LATER)
    feed.publish(DONE)
    feed.close()
    reader.leave()
    assert desertion.count == 0


async def test_a_reader_that_leaves_gives_room() -> None:
    feed = a_feed(capacity=1)
    stalled, quick = feed.attach(LATER), feed.attach(LATER)
    feed.publish(DELTA)
    await quick.receive()
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(feed.wait_for_room, timedelta(hours=1))
            await anyio.wait_all_tasks_blocked()
            stalled.leave()
    assert not quick.ended


async def test_a_reader_nobody_begins_to_read_counts_as_left() -> None:
    deserted = anyio.Event()
    feed = a_feed(deserted=deserted.set)
    reader = feed.attach(AT_ONCE)
    with anyio.fail_after(5):
        await deserted.wait()
    assert reader.ended


async def test_a_reader_that_has_begun_may_wait_longer_than_the_reader_deadline() -> None:
    passed = anyio.Event()
    feed, unread = a_feed(), a_feed(deserted=passed.set)
    reader = feed.attach(AT_ONCE)
    unread.attach(AT_ONCE)
    feed.publish(DELTA)
    await reader.receive()
    with anyio.fail_after(5):
        await passed.wait()
    assert not reader.ended

"""A waiting reader may have events taken for it by the task that publishes them."""

from collections.abc import Sequence
from datetime import timedelta

import anyio
import pytest

from domain.streaming.channel import ReaderDropped, Receiver
from domain.streaming.events import Numbered
from domain.streaming.feed import Feed
from tests.unit.domain.streaming.samples import DELTA, DONE, STARTED

LATER = timedelta(seconds=5)


class Taker:
    def __init__(self, *, willing: bool = True) -> None:
        self.willing = willing
        self.taken: list[Sequence[Numbered]] = []

    def __call__(self, events: Sequence[Numbered]) -> bool:
        if self.willing:
            self.taken.append(events)
        return self.willing


class Waiting:
    """A feed whose one reader waits in `receive`, with a taker."""

    def __init__(self, taker: Taker) -> None:
        self.feed = Feed(4, deserted=lambda: None)
        self.reader: Receiver = self.feed.attach(LATER)
        self.reader.hand_over_to(taker)
        self.received: list[Sequence[Numbered]] = []

    async def read(self) -> None:
        while not self.reader.ended:
            self.received.append(await self.reader.receive())


async def test_what_is_announced_together_is_taken_together_and_wakes_nobody() -> None:
    taker = Taker()
    waiting = Waiting(taker)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.read)
        await anyio.wait_all_tasks_blocked()
        waiting.feed.append(STARTED)
        waiting.feed.append(DELTA)
        assert taker.taken == []
        waiting.feed.announce()
        assert taker.taken == [[(1, STARTED), (2, DELTA)]]
        await anyio.wait_all_tasks_blocked()
        assert waiting.received == []
        waiting.feed.end(DONE)
    assert waiting.received == [[(3, DONE)]]


async def test_the_last_event_is_received_so_that_the_reader_learns_of_the_end() -> None:
    taker = Taker()
    waiting = Waiting(taker)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.read)
        await anyio.wait_all_tasks_blocked()
        waiting.feed.publish(STARTED)
        waiting.feed.end(DONE)
    assert taker.taken == [[(1, STARTED)]]
    assert waiting.received == [[(2, DONE)]]


async def test_what_nobody_takes_waits_and_is_received_in_its_place() -> None:
    taker = Taker(willing=False)
    waiting = Waiting(taker)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(waiting.read)
        await anyio.wait_all_tasks_blocked()
        waiting.feed.publish(STARTED)
        taker.willing = True
        waiting.feed.publish(DELTA)
        assert taker.taken == []
        await anyio.wait_all_tasks_blocked()
        assert waiting.received == [[(1, STARTED), (2, DELTA)]]
        waiting.feed.publish(DELTA)
        waiting.feed.end(DONE)
    assert taker.taken == [[(3, DELTA)]]
    assert waiting.received[1:] == [[(4, DONE)]]


async def test_nothing_is_taken_for_a_reader_that_is_busy_with_what_it_received() -> None:
    taker = Taker()
    feed = Feed(4, deserted=lambda: None)
    reader = feed.attach(LATER)
    reader.hand_over_to(taker)
    feed.publish(STARTED)
    assert await reader.receive() == [(1, STARTED)]
    feed.publish(DELTA)
    assert taker.taken == []
    assert reader.lag == 1


async def test_a_taker_that_fails_costs_its_reader_and_nobody_else(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_: Sequence[Numbered]) -> bool:
        raise RuntimeError("secret")

    feed = Feed(4, deserted=lambda: None)
    bad, good = feed.attach(LATER), feed.attach(LATER)
    bad.hand_over_to(broken)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_read_until_dropped, bad)
        await anyio.wait_all_tasks_blocked()
        feed.publish(STARTED)
    assert bad.dropped
    assert await good.receive() == [(1, STARTED)]
    assert [record.msg for record in caplog.records] == ["reader_failed"]


async def _read_until_dropped(reader: Receiver) -> None:
    with pytest.raises(ReaderDropped):
        await reader.receive()

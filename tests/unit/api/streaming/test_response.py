"""One turn on one connection, over a client that reads, stalls or leaves."""

import asyncio
from collections.abc import AsyncIterator, MutableMapping, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest

from api.streaming.response import KeepAlive, TurnStreamResponse
from api.streaming.sse_wire import COMMENT, frame, frames, ping
from domain.streaming.channel import Reader, Recording
from domain.streaming.events import Delta, Numbered, StreamStarted, Tool
from domain.streaming.failures import turn_error
from domain.streaming.feed import Feed
from domain.streaming.models import StreamLimits
from tests.harness.bridge import Exchange, Message, Receive, Send, open_exchange

STARTED = StreamStarted(request_id="r", message_id="m", is_new_turn=True)
DELTA = Delta("text", "a")
TOOL = Tool(phase="start", name="web_search", details={})
ERROR = turn_error("turn_cancelled", "0" * 32, retryable=False)

HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=5)
QUIET = KeepAlive(ping_interval=HOUR, send_deadline=HOUR)


@pytest.fixture(autouse=True, params=["any ASGI server", "our server"])
def our_server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """All of it holds on a server that offers nothing but ASGI and on ours, which offers the connection."""
    offers: bool = request.param == "our server"
    monkeypatch.setattr(Live, "offers", offers)
    return offers


class Connection:
    """A response on its connection, with what the server would note: messages sent, and whether it was cut off."""

    def __init__(
        self, reader: Reader, keep_alive: KeepAlive, extra: Sequence[tuple[bytes, bytes]] = (), *, position: int = 0
    ) -> None:
        self.messages: list[Message] = []
        self.tasks_left = 0
        self._response: Any = TurnStreamResponse(reader, keep_alive, extra, position=position)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        async def noted(message: Message) -> None:
            await send(message)
            self.messages.append(message)

        tasks_before = asyncio.all_tasks()
        try:
            await self._response(scope, receive, noted)
        finally:
            self.tasks_left = len(asyncio.all_tasks() - tasks_before)


class Live:
    """A turn that the test publishes, its only reader on a connection."""

    offers = False

    def __init__(self, keep_alive: KeepAlive = QUIET, capacity: int = 32) -> None:
        self.deserted = anyio.Event()
        self.feed = Feed(capacity, self.deserted.set)
        self.reader = self.feed.attach(HOUR)
        self.connection = Connection(self.reader, keep_alive)
        self.feed.publish(STARTED)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Exchange]:
        async with open_exchange(self.connection, "POST", "/", offers=self.offers) as exchange:
            yield exchange
        assert self.connection.tasks_left == 0
        assert self.reader.ended or self.reader.dropped


async def chunks(exchange: Exchange, count: int) -> list[bytes]:
    got: list[bytes] = []
    async with aclosing(exchange.body()) as body:
        async for chunk in body:
            got.append(chunk)
            if len(got) == count:
                break
    return got


async def test_a_stream_says_what_it_is_and_that_nobody_may_keep_or_buffer_it() -> None:
    connection = Connection(Recording([(1, STARTED), (2, ERROR)]), QUIET, [(b"x-chat-id", b"c")])
    async with open_exchange(connection, "POST", "/") as exchange:
        await exchange.started()
        assert exchange.status == 200
        assert dict(exchange.headers) == {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-store",
            "x-accel-buffering": "no",
            "x-chat-id": "c",
        }


async def test_frames_leave_while_the_turn_goes_on() -> None:
    live = Live()
    async with live.opened() as exchange:
        assert await chunks(exchange, 1) == [frame(1, STARTED)]
        for number in (2, 3):
            live.feed.publish(DELTA)
            assert await chunks(exchange, 1) == [frame(number, DELTA)]
        assert not exchange.ended.is_set()


async def test_events_that_wait_together_leave_in_one_send() -> None:
    live = Live()
    live.feed.publish(DELTA)
    live.feed.publish(DELTA)
    async with live.opened() as exchange:
        assert await chunks(exchange, 1) == [frames([(1, STARTED), (2, DELTA), (3, DELTA)])]


async def test_events_that_gather_behind_a_blocked_send_leave_in_one_send() -> None:
    live = Live()
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        exchange.stall_send()
        live.feed.publish(DELTA)
        await anyio.wait_all_tasks_blocked()
        live.feed.publish(DELTA)
        live.feed.publish(DELTA)
        await anyio.wait_all_tasks_blocked()
        exchange.resume_send()
        assert await chunks(exchange, 2) == [frame(2, DELTA), frames([(3, DELTA), (4, DELTA)])]


async def test_the_body_is_closed_with_the_last_event_and_the_connection_kept() -> None:
    live = Live()
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        live.feed.end(ERROR)
        with anyio.fail_after(5):
            await exchange.ended.wait()
    assert [message.get("more_body") for message in live.connection.messages] == [None, True, False]
    assert not exchange.aborted
    assert not live.deserted.is_set()


async def test_a_turn_that_has_ended_is_told_in_one_send() -> None:
    events: list[Numbered] = [(1, STARTED), (5, DELTA), (6, ERROR)]
    connection = Connection(Recording(events), QUIET)
    async with open_exchange(connection, "POST", "/") as exchange:
        assert (await exchange.answer()).body == frames(events)
    assert connection.messages[-1]["more_body"] is False
    assert len(connection.messages) == 2


async def test_silence_before_the_answer_is_filled_with_pings_that_repeat_the_last_number() -> None:
    live = Live(KeepAlive(ping_interval=SOON, send_deadline=HOUR))
    async with live.opened() as exchange:
        assert await chunks(exchange, 4) == [frame(1, STARTED), ping(1), ping(1), ping(1)]


@pytest.mark.parametrize("event", [DELTA, TOOL])
async def test_silence_after_the_first_delta_or_tool_is_filled_with_comments(event: Delta | Tool) -> None:
    live = Live(KeepAlive(ping_interval=SOON, send_deadline=HOUR))
    async with live.opened() as exchange:
        await chunks(exchange, 2)
        live.feed.publish(event)
        body = b"".join(await chunks(exchange, 4))
    assert body.replace(ping(1), b"") == frame(2, event) + COMMENT * body.count(COMMENT)
    assert body.count(COMMENT) >= 2


@pytest.mark.parametrize(("position", "company"), [(0, ping(0)), (1, ping(1)), (2, COMMENT), (7, COMMENT)], ids=str)
async def test_a_resumed_connection_is_kept_alive_as_the_event_before_left_it(position: int, company: bytes) -> None:
    reader = Feed(32, lambda: None).attach(HOUR)
    keep_alive = KeepAlive(ping_interval=SOON, send_deadline=HOUR)
    async with open_exchange(Connection(reader, keep_alive, position=position), "GET", "/") as exchange:
        assert await chunks(exchange, 3) == [company] * 3


async def test_a_turn_that_ends_without_an_event_for_this_reader_closes_its_body_in_good_order() -> None:
    live = Live()
    joined = live.feed.join(9, STARTED, str, StreamLimits(reader_deadline=HOUR))
    connection = Connection(joined, QUIET, position=9)
    async with open_exchange(connection, "GET", "/") as exchange:
        await exchange.started()
        live.feed.end(ERROR)
        assert (await exchange.answer()).body == b""
    assert connection.messages[-1]["more_body"] is False
    assert not exchange.aborted


async def test_no_keep_alive_interrupts_a_blocked_send() -> None:
    live = Live(KeepAlive(ping_interval=SOON, send_deadline=HOUR))
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        exchange.stall_send()
        live.feed.publish(DELTA)
        await anyio.sleep(4 * SOON.total_seconds())
        live.feed.end(ERROR)
        exchange.resume_send()
        body = (await exchange.answer()).body
    assert body.replace(ping(1), b"") == frames([(2, DELTA), (3, ERROR)])


async def test_a_client_that_leaves_has_left_the_turn_at_once() -> None:
    live = Live()
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        exchange.disconnect()
        with anyio.fail_after(5):
            await live.deserted.wait()
            await exchange.ended.wait()
    assert live.reader.ended


async def test_a_client_that_leaves_while_a_send_is_blocked_has_left_the_turn_at_once() -> None:
    """Else the turn, and its provider, would go on until the send deadline."""
    live = Live()
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        exchange.stall_send()
        live.feed.publish(DELTA)
        await anyio.wait_all_tasks_blocked()
        exchange.disconnect()
        with anyio.fail_after(5):
            await live.deserted.wait()


@pytest.mark.parametrize("ping_interval", [SOON / 2, HOUR])
async def test_a_send_that_takes_longer_than_its_deadline_ends_the_connection(ping_interval: timedelta) -> None:
    live = Live(KeepAlive(ping_interval=ping_interval, send_deadline=SOON))
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        exchange.stall_send()
        live.feed.publish(DELTA)
        with anyio.fail_after(5):
            await exchange.ended.wait()
    assert live.deserted.is_set()
    assert bool(exchange.aborted) == live.offers


async def test_an_answer_whose_head_cannot_be_sent_ends_the_connection_too() -> None:
    live = Live(KeepAlive(ping_interval=HOUR, send_deadline=SOON))
    async with live.opened() as exchange:
        exchange.stall_send()
        with anyio.fail_after(5):
            await exchange.ended.wait()
    assert bool(exchange.aborted) == live.offers


async def test_a_slow_but_steady_client_is_kept() -> None:
    """The deadline is that of one send; together these take longer."""
    deadline = timedelta(milliseconds=200)
    live = Live(KeepAlive(ping_interval=HOUR, send_deadline=deadline))
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        for number in range(2, 12):
            exchange.stall_send()
            live.feed.publish(DELTA)
            await anyio.sleep(deadline.total_seconds() / 8)
            exchange.resume_send()
            assert await chunks(exchange, 1) == [frame(number, DELTA)]


async def test_a_server_that_refuses_to_send_is_a_client_that_has_left() -> None:
    """ASGI lets `send` raise OSError once the client has gone; nobody is to read of a fault in the log."""
    live = Live()
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        exchange.refuse_send()
        live.feed.publish(DELTA)
        with anyio.fail_after(5):
            await exchange.ended.wait()
        assert [chunk async for chunk in exchange.body()] == []
    assert live.deserted.is_set()


async def test_a_dropped_reader_is_cut_off_without_a_terminal_event() -> None:
    live = Live()
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        live.reader.drop()
        with anyio.fail_after(5):
            await exchange.ended.wait()
    assert bool(exchange.aborted) == live.offers
    assert live.connection.messages[-1]["more_body"] is True


async def test_a_server_that_cancels_the_connection_natively_leaves_the_turn() -> None:
    live = Live()

    async def connection_task() -> None:
        await live.connection({"type": "http"}, _never_receive, _swallow)

    task = asyncio.create_task(connection_task())
    await anyio.wait_all_tasks_blocked()
    task.cancel()
    with anyio.fail_after(5):
        await asyncio.wait([task])
    assert task.cancelled()
    assert live.deserted.is_set()


async def test_a_delta_that_finds_the_connection_idle_is_written_by_the_task_that_publishes_it() -> None:
    live = Live()
    async with live.opened() as exchange:
        assert await chunks(exchange, 1) == [frame(1, STARTED)]
        await anyio.wait_all_tasks_blocked()
        live.feed.append(DELTA)
        live.feed.append(DELTA)
        live.feed.announce()
        assert live.reader.lag == (0 if live.offers else 2)
        assert await chunks(exchange, 1) == [frames([(2, DELTA), (3, DELTA)])]


async def test_what_the_socket_has_no_room_for_waits_in_the_channel_and_keeps_its_place() -> None:
    live = Live()
    async with live.opened() as exchange:
        await chunks(exchange, 1)
        await anyio.wait_all_tasks_blocked()
        exchange.stall_send()
        live.feed.publish(DELTA)
        assert live.reader.lag == 1
        await anyio.wait_all_tasks_blocked()
        exchange.resume_send()
        live.feed.publish(DELTA)
        live.feed.end(ERROR)
        assert (await exchange.answer()).body == frames([(2, DELTA), (3, DELTA), (4, ERROR)])


async def _never_receive() -> Message:
    await anyio.sleep_forever()
    raise AssertionError


async def _swallow(message: Message) -> None:
    pass

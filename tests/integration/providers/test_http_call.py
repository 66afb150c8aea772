"""What only a real socket can show: deadlines before the head, bad answers, reuse, loss, limits and leaks."""

import asyncio
import random
import socket
import time
from datetime import timedelta
from typing import Any, Self

import anyio
import pytest

from domain.providers.errors import FailureKind
from domain.providers.events import Accepted, Completed, Finish, ProviderEvent
from domain.providers.ports import CallControl, CallState
from domain.providers.request import Deadlines, ProviderRequest, UserText
from infra.providers import driver
from infra.providers.anomalies import Anomaly
from tests.harness.chat_upstream import ChatUpstream, chat_upstream
from tests.harness.provider_calls import collected, failure, failure_kind, request_for, said
from tests.harness.upstream import DONE, Action, Reply, Upstream, finish, refusal, sse, text, usage

BRIEF = timedelta(milliseconds=40)
ANSWER = sse(text("a"), finish(), usage(4, 1), DONE)


async def answer(*replies: Reply, **settings: Any) -> tuple[list[Any], ChatUpstream]:
    async with chat_upstream(**settings) as chat:
        chat.upstream.reply(*replies)
        with anyio.fail_after(5):
            return await collected(chat.provider, request_for("gpt")), chat


async def test_a_refused_connection_is_not_a_call() -> None:
    async with Upstream() as gone:
        url = gone.url
    async with chat_upstream(url=url) as chat:
        control = CallControl()
        events = await collected(chat.provider, request_for("gpt"), control)
    assert failure_kind(events) is FailureKind.UNREACHABLE
    assert not control.called
    assert url.rpartition(":")[2] not in failure(events).detail


async def test_an_address_that_may_not_be_reached_is_not_connected_to() -> None:
    async with chat_upstream(allow_private_network=False) as chat:
        control = CallControl()
        events = await collected(chat.provider, request_for("gpt"), control)
        assert chat.upstream.accepted == 0
    assert failure_kind(events) is FailureKind.MISCONFIGURED
    assert not control.called


async def test_a_full_pool_is_our_own_business_and_ends_in_time() -> None:
    async with chat_upstream(connections=1) as chat:
        chat.upstream.reply(sse(text("a"), Action.HANG))
        async with chat.provider.stream(request_for("gpt"), CallControl()) as holding:
            await anext(aiter(holding))
            control = CallControl()
            events = await collected(chat.provider, request_for("gpt", deadlines=Deadlines(pool_wait=BRIEF)), control)
    assert failure_kind(events) is FailureKind.BUSY_LOCAL
    assert not control.called
    assert len(chat.upstream.exchanges) == 1


async def test_a_tls_handshake_that_never_ends_is_a_connect_timeout_and_not_a_call() -> None:
    async with Upstream() as silent, chat_upstream(url=silent.url.replace("http", "https")) as chat:
        control = CallControl()
        request = request_for("gpt", deadlines=Deadlines(connect=BRIEF))
        assert failure_kind(await collected(chat.provider, request, control)) is FailureKind.TIMEOUT
        with anyio.fail_after(1):
            await silent.idle.wait()
    assert not control.called


async def test_a_head_that_never_comes_is_a_timeout_of_a_call_that_was_made() -> None:
    async with chat_upstream() as chat:
        chat.upstream.reply(Reply(before_head=[Action.HANG]))
        control = CallControl()
        request = request_for("gpt", deadlines=Deadlines(headers=BRIEF))
        assert failure_kind(await collected(chat.provider, request, control)) is FailureKind.TIMEOUT
        with anyio.fail_after(1):
            await chat.upstream.exchanges[0].closed.wait()
    assert control.called


async def test_pings_keep_an_answer_alive_but_do_not_stand_for_a_first_token() -> None:
    pings = [step for _ in range(30) for step in (b": ping\n\n", 0.02)]
    deadlines = Deadlines(first_token=timedelta(milliseconds=200), idle=timedelta(milliseconds=400))
    async with chat_upstream() as chat:
        chat.upstream.reply(sse(text("a"), *pings, finish(), DONE), sse(*pings, text("a"), finish(), DONE))
        alive = await collected(chat.provider, request_for("gpt", deadlines=deadlines))
        dead = await collected(chat.provider, request_for("gpt", deadlines=deadlines))
    assert isinstance(alive[-1], Completed)
    assert failure(dead).detail == "first_token deadline"


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (Reply(status=302, headers={"Location": "/elsewhere"}), FailureKind.BAD_RESPONSE),
        (Reply(status=204, headers={}), FailureKind.BAD_RESPONSE),
        (Reply(headers={"Content-Type": "text/html"}, steps=[b"<html>"]), FailureKind.BAD_RESPONSE),
        (Reply(headers={}, steps=[text("a")]), FailureKind.BAD_RESPONSE),
        (
            Reply(headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"}, steps=[b"\x1f\x8b"]),
            FailureKind.BAD_RESPONSE,
        ),
        (refusal(200, {"id": "chatcmpl-1", "choices": []}), FailureKind.BAD_RESPONSE),
        (refusal(200, {"error": {"type": "overloaded_error"}}), FailureKind.OVERLOADED),
        (refusal(400, {"error": {"message": "maximum context length is 5"}}), FailureKind.CONTEXT_LENGTH),
        (refusal(404, "no such model"), FailureKind.REJECTED),
        (Reply(status=500, steps=[b"{", Action.RESET]), FailureKind.SERVER_ERROR),
        (Reply(status=502, headers={"Content-Type": "text/html"}, steps=[b"<html>"]), FailureKind.SERVER_ERROR),
        (Reply(before_head=[Action.CLOSE]), FailureKind.INTERRUPTED),
        (Reply(before_head=[Action.RESET]), FailureKind.INTERRUPTED),
        (Reply(before_head=[b"nonsense\r\n\r\n"]), FailureKind.BAD_RESPONSE),
        (Reply(headers={"X": "y" * 40_000}), FailureKind.BAD_RESPONSE),
        (sse(text("a"), b"data: " + b"x" * 1_100_000), FailureKind.BAD_RESPONSE),
        (sse(text("a"), *[b"data: " + b"x" * 98 + b"\n"] * 12_000), FailureKind.BAD_RESPONSE),
        (sse(text("a"), Action.CLOSE), FailureKind.INTERRUPTED),
        (sse(text("a")), FailureKind.INTERRUPTED),
        (Reply(steps=[text("a")], chunked=False), FailureKind.INTERRUPTED),
    ],
)
async def test_each_bad_answer_has_its_kind_and_is_asked_for_only_once(reply: Reply, kind: FailureKind) -> None:
    events, chat = await answer(reply)
    assert failure_kind(events) is kind
    assert len(chat.upstream.exchanges) == 1


async def test_a_response_head_is_accepted_whatever_follows() -> None:
    assert (await answer(refusal(429, {})))[0][0] == Accepted(429)


async def test_a_missing_media_type_passes_where_the_operator_says_so() -> None:
    events, _ = await answer(Reply(headers={}, steps=[text("a"), DONE]), lenient_media_type=True)
    assert said(events) == "a"


async def answer_read_after_loss(chat: ChatUpstream) -> list[ProviderEvent]:
    """The reader is busy after the head until the connection has been lost."""
    async with chat.provider.stream(request_for("gpt"), CallControl()) as batches:
        events = [*await anext(aiter(batches))]
        await chat.upstream.idle.wait()
        await anyio.sleep(0.02)
        async for batch in batches:
            events += batch
    return events


@pytest.mark.parametrize("loss", [Action.RESET, Action.CLOSE])
async def test_what_arrived_before_the_connection_was_lost_still_counts(loss: Action) -> None:
    async with chat_upstream() as chat:
        chat.upstream.reply(sse(text("all of it") + finish() + DONE, 0.01, loss))
        events = await answer_read_after_loss(chat)
    assert said(events) == "all of it"
    assert isinstance(events[-1], Completed)


@pytest.mark.parametrize("loss", [Action.RESET, Action.CLOSE])
async def test_text_that_arrived_before_the_loss_is_kept_and_the_call_is_interrupted(loss: Action) -> None:
    async with chat_upstream() as chat:
        chat.upstream.reply(sse(text("half") + text(" of it"), 0.01, loss))
        events = await answer_read_after_loss(chat)
    assert said(events) == "half of it"
    assert failure_kind(events) is FailureKind.INTERRUPTED


async def test_a_close_delimited_answer_is_complete_with_its_finish_reason() -> None:
    events, _ = await answer(Reply(steps=[text("a"), finish("length")], chunked=False))
    assert events[-1] == Completed(finish=Finish.LENGTH, remote_id="chatcmpl-1")


async def test_a_missing_goodbye_is_waited_for_only_briefly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "_GOODBYE_S", 0.05)
    started = time.monotonic()
    events, _ = await answer(sse(text("a"), finish("length"), Action.HANG))
    assert events[-1] == Completed(finish=Finish.LENGTH, remote_id="chatcmpl-1")
    assert time.monotonic() - started < 1


async def test_what_follows_the_terminal_is_ignored_and_counted() -> None:
    events, chat = await answer(sse(text("a") + finish() + usage(4, 1) + text("b") + finish("length") + DONE))
    assert said(events) == "a"
    assert events[-1].finish is Finish.STOP
    assert chat.provider.anomalies[Anomaly.AFTER_TERMINAL] == 2


async def test_an_answer_far_longer_than_asked_for_is_cut() -> None:
    async with chat_upstream() as chat:
        chat.upstream.reply(sse(*[text("x" * 10_000)] * 20, Action.HANG))
        events = await collected(chat.provider, request_for("gpt", max_output_tokens=10))
        await chat.upstream.exchanges[0].closed.wait()
    assert events[-1] == Completed(finish=Finish.LENGTH)
    assert len(said(events)) < 80_000 + 65_536


async def test_a_runaway_that_breaks_a_limit_as_well_still_has_one_terminal() -> None:
    piece = text("x" * 10_000)
    async with chat_upstream(max_frame_bytes=11_000) as chat:
        chat.upstream.reply(sse(piece * 6, 0.05, piece + b"x" * 20_000))
        events = await collected(chat.provider, request_for("gpt", max_output_tokens=10))
    assert events[-1] == Completed(finish=Finish.LENGTH)


async def test_a_finished_connection_serves_the_next_call() -> None:
    async with chat_upstream() as chat:
        chat.upstream.reply(sse(text("a"), finish(), usage(4, 1), 0.02, DONE))
        for _ in range(3):
            await collected(chat.provider, request_for("gpt"))
            with anyio.fail_after(1):
                while chat.acquired:  # noqa: ASYNC110  the pool has no event to wait for
                    await anyio.sleep(0.001)
        assert chat.upstream.accepted == 1


async def test_a_connection_whose_answer_never_ends_is_closed_soon_after_the_terminal() -> None:
    async with chat_upstream() as chat:
        chat.upstream.reply(sse(text("a"), finish(), DONE, Action.HANG))
        await collected(chat.provider, request_for("gpt"))
        assert chat.acquired == 1
        with anyio.fail_after(2):
            await chat.upstream.exchanges[0].closed.wait()
        assert chat.acquired == 0


async def cancelled_once_called(chat: ChatUpstream, request: ProviderRequest) -> CallControl:
    control = CallControl()
    async with anyio.create_task_group() as group:
        group.start_soon(collected, chat.provider, request, control)
        while not control.called:  # noqa: ASYNC110  a state without an event
            await anyio.sleep(0.001)
        group.cancel_scope.cancel()
    return control


async def test_a_request_that_nobody_takes_is_given_up_in_time() -> None:
    async with Deaf() as deaf, chat_upstream(url=deaf.url) as chat:
        control = CallControl()
        request = request_for("gpt", items=(UserText("x" * 900_000),) * 20, deadlines=Deadlines(write=BRIEF))
        with anyio.fail_after(5):
            events = await collected(chat.provider, request, control)
            assert chat.acquired == 0
            assert await read_until_closed(*await deaf.connections.get()) < 18_000_000
    assert (failure_kind(events), failure(events).detail) == (FailureKind.TIMEOUT, "write: TimeoutError")
    assert control.called


async def test_a_server_that_is_back_at_once_is_reached_by_the_second_attempt() -> None:
    async with Late() as late, chat_upstream(url=late.url) as chat:
        control = CallControl()
        async with anyio.create_task_group() as group:
            group.start_soon(late.open_after_refusals, 0.04)
            events = await collected(chat.provider, request_for("gpt"), control)
    assert failure_kind(events) is FailureKind.INTERRUPTED
    assert late.accepted == 1


async def test_nobody_there_is_tried_once_more_and_not_at_all_where_that_is_off() -> None:
    async with Upstream() as gone:
        url = gone.url
    took_s = {}
    for retries in (0, 1):
        async with chat_upstream(url=url) as chat:
            chat.provider.connect_retries = retries
            started = time.monotonic()
            assert failure_kind(await collected(chat.provider, request_for("gpt"))) is FailureKind.UNREACHABLE
            took_s[retries] = time.monotonic() - started
    assert took_s[0] < 0.05 <= took_s[1] < 0.5


async def test_a_cancel_before_the_head_closes_the_connection() -> None:
    async with chat_upstream() as chat:
        chat.upstream.reply(Reply(before_head=[Action.HANG]))
        with anyio.fail_after(5):
            control = await cancelled_once_called(chat, request_for("gpt"))
            assert control.state is CallState.ENDED
            await chat.upstream.idle.wait()


@pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning")
async def test_a_cancel_does_not_wait_until_a_stalled_server_has_read_the_request() -> None:
    async with Deaf() as deaf, chat_upstream(url=deaf.url) as chat:
        with anyio.fail_after(5):
            await cancelled_once_called(chat, request_for("gpt", items=(UserText("x" * 900_000),) * 20))
            assert chat.acquired == 0
            reader, writer = await deaf.connections.get()
            assert await read_until_closed(reader, writer) < 18_000_000


class Deaf:
    """Accepts connections and reads nothing from them."""

    async def __aenter__(self) -> Self:
        self.connections: asyncio.Queue[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = asyncio.Queue()
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=1024)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self.connections.put((reader, writer))


class Late:
    """A port that refuses until it is opened, and then hangs up on whoever comes."""

    async def __aenter__(self) -> Self:
        self.accepted = 0
        self._socket = socket.socket()
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def open_after_refusals(self, seconds: float) -> None:
        await anyio.sleep(seconds)
        self._server = await asyncio.start_server(self._accept, sock=self._socket)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.accepted += 1
        writer.transport.abort()


async def read_until_closed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
    count = 0
    try:
        while chunk := await reader.read(65_536):
            count += len(chunk)
    except ConnectionError:
        pass
    writer.transport.abort()
    return count


async def test_hundreds_of_random_cancels_leave_the_pool_whole() -> None:
    """Row U-40: the pool that httpx lost for good under the same treatment."""
    dice = random.Random(40)
    async with chat_upstream(connections=10) as chat:
        chat.upstream.reply(sse(0.002, text("a"), 0.002, text("b"), 0.002, finish(), DONE))
        before = asyncio.all_tasks()

        async def cancelled_somewhere() -> None:
            for _ in range(20):
                with anyio.move_on_after(dice.random() * 0.02):
                    await collected(chat.provider, request_for("gpt"))

        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                for _ in range(20):
                    group.start_soon(cancelled_somewhere)
        answers: list[str] = []

        async def call() -> None:
            answers.append(said(await collected(chat.provider, request_for("gpt"))))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as group:
                for _ in range(12):
                    group.start_soon(call)
            while chat.acquired or asyncio.all_tasks() - before:  # noqa: ASYNC110  neither has an event to wait for
                await anyio.sleep(0.001)
        assert answers == ["ab"] * 12

"""The reader goes away: the turn follows its on_disconnect rule, and the upstream is let go at once (api.md 4.7)."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio
import pytest

from tests.harness.client import API, Client
from tests.harness.eventually import eventually, until
from tests.harness.service import Service
from tests.harness.sse_client import EventStream
from tests.harness.upstream import DONE, Action, Exchange, Reply, Upstream, finish, sse, text

LET_GO_WITHIN_S = 0.2
ENDLESS = sse(text("Once "), text("upon "), Action.HANG)
SILENT = sse(Action.HANG)

Leave = Callable[[EventStream], None]
LEAVES = pytest.mark.parametrize("leave", [EventStream.hang_up, EventStream.reset], ids=["FIN", "RST"])


async def call_of(upstream: Upstream, number: int) -> Exchange:
    """The upstream's view of the call, once it has come."""
    await until(lambda: len(upstream.exchanges) > number)
    return upstream.exchanges[number]


async def let_go(call: Exchange, left_at: float) -> None:
    with anyio.fail_after(5):
        await call.closed.wait()
    assert call.closed_at is not None
    assert call.closed_at - left_at < LET_GO_WITHIN_S


async def ended(client: Client, chat_id: str) -> list[dict[str, Any]]:
    """The messages, once there is an answer among them."""

    async def with_answer() -> list[dict[str, Any]]:
        messages = await client.messages(chat_id)
        return messages if len(messages) > 1 else []

    return await eventually(with_answer)


async def free_again(client: Client, chat_id: str) -> None:
    """The chat takes the next send."""

    async def takes_a_send() -> bool:
        return (await client.ask("POST", f"chats/{chat_id}/messages", {"content": "Again"})).status == 200

    await eventually(takes_a_send)


@LEAVES
async def test_a_reader_who_leaves_in_mid_answer_cancels_the_turn(
    client: Client, upstream: Upstream, leave: Leave
) -> None:
    upstream.reply(ENDLESS)
    calls = len(upstream.exchanges)
    chat_id = await client.chat(model="remote")
    async with client.stream(chat_id) as stream:
        await stream.first("delta", 2)
        leave(stream)
        await let_go(await call_of(upstream, calls), time.monotonic())
    _, answer = await ended(client, chat_id)
    assert (answer["status"], answer["content"]) == ("partial", "Once upon ")


@LEAVES
async def test_a_reader_who_leaves_before_the_first_token_cancels_the_turn(
    client: Client, upstream: Upstream, leave: Leave
) -> None:
    upstream.reply(SILENT, sse(text("Yes"), finish(), DONE))
    calls = len(upstream.exchanges)
    chat_id = await client.chat(model="remote")
    async with client.stream(chat_id) as stream:
        await stream.first("stream_started")
        call = await call_of(upstream, calls)
        leave(stream)
        await let_go(call, time.monotonic())
    await free_again(client, chat_id)
    assert [message["role"] for message in await client.messages(chat_id)] == ["user", "user", "assistant"]


@LEAVES
async def test_a_reader_who_leaves_before_the_provider_has_answered_the_request_cancels_it(
    client: Client, upstream: Upstream, leave: Leave
) -> None:
    upstream.reply(Reply(before_head=[Action.HANG]))
    calls = len(upstream.exchanges)
    async with client.stream(model="remote") as stream:
        await stream.first("stream_started")
        call = await call_of(upstream, calls)
        leave(stream)
        await let_go(call, time.monotonic())


async def test_under_continue_the_turn_finishes_without_its_reader(client: Client, upstream: Upstream) -> None:
    upstream.reply(sse(text("Once "), 0.2, text("upon "), text("a time"), finish(), DONE))
    chat_id = await client.chat(model="remote")
    async with client.stream(chat_id, on_disconnect="continue") as stream:
        await stream.first("delta")
    _, answer = await ended(client, chat_id)
    assert (answer["status"], answer["content"]) == ("complete", "Once upon a time")


async def test_who_hangs_up_on_a_unary_send_cancels_the_turn(client: Client, upstream: Upstream) -> None:
    upstream.reply(ENDLESS)
    calls = len(upstream.exchanges)
    chat_id = await client.chat(model="remote")
    async with anyio.create_task_group() as asking:
        asking.start_soon(client.ask, "POST", f"chats/{chat_id}/messages", {"content": "Hello"})
        call = await call_of(upstream, calls)
        await until(lambda: len(call.writes) == 2)
        asking.cancel_scope.cancel()
    await let_go(call, time.monotonic())
    _, answer = await ended(client, chat_id)
    assert (answer["status"], answer["content"]) == ("partial", "Once upon ")


async def test_who_hangs_up_while_sending_starts_nothing(client: Client, service: Service, upstream: Upstream) -> None:
    calls = len(upstream.exchanges)
    chat_id = await client.chat(model="remote")
    head = f"POST {API}/chats/{chat_id}/messages:stream HTTP/1.1\r\nHost: localhost\r\n"
    for part in ("", head, f'{head}Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{"content"'):
        async with await anyio.connect_tcp("127.0.0.1", service.server.port) as connection:
            await connection.send(part.encode())
    assert await client.messages(chat_id) == []
    assert len(upstream.exchanges) == calls


async def test_a_hundred_readers_leaving_at_once_leave_nothing_behind(client: Client, upstream: Upstream) -> None:
    upstream.reply(ENDLESS)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(client.stream(model="remote")) for _ in range(100)]
        for stream in streams:
            await stream.first("delta", 2)
    with anyio.fail_after(2):
        await upstream.idle.wait()

from collections.abc import AsyncIterator
from typing import Any

import anyio
import pytest

from tests.harness.bridge import Receive, Send, open_exchange, request

START = {"type": "http.response.start", "status": 200, "headers": [(b"x-a", b"1"), (b"x-a", b"2")]}


async def body(send: Send, *chunks: bytes) -> None:
    for chunk in chunks:
        await send({"type": "http.response.body", "body": chunk, "more_body": True})


async def test_an_answer_carries_status_headers_and_body() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        await body(send, scope["method"].encode(), (await receive())["body"])

    answer = await request(app, "PUT", "/x", body=b"hello")
    assert (answer.status, answer.header("X-A"), answer.body) == (200, "1, 2", b"PUThello")


async def test_the_target_is_split_as_a_server_splits_it() -> None:
    seen: dict[str, Any] = {}

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        seen.update(scope)
        await send(START)

    await request(app, "GET", "/a%20b/%ff?q=%20", headers={"X-Raw": b"\xff"})
    assert (seen["path"], seen["raw_path"], seen["query_string"]) == ("/a b/�", b"/a%20b/%ff", b"q=%20")
    assert (b"x-raw", b"\xff") in seen["headers"]


async def test_chunks_arrive_while_the_application_is_still_running() -> None:
    go_on = anyio.Event()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        await body(send, b"one")
        await go_on.wait()
        await body(send, b"two")

    async with open_exchange(app, "GET", "/") as exchange:
        seen = []
        async for chunk in exchange.body():
            seen.append((chunk, exchange.ended.is_set()))
            go_on.set()
    assert seen[0] == (b"one", False)
    assert [chunk for chunk, _ in seen] == [b"one", b"two"]


async def test_a_disconnect_is_told_and_sends_after_it_are_swallowed() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await receive()
        await send(START)
        told.append((await receive())["type"])
        await body(send, b"nobody hears this")

    async with open_exchange(app, "GET", "/") as exchange:
        await exchange.started()
        exchange.disconnect()
        assert (await exchange.answer()).body == b""
    assert told == ["http.disconnect"]


async def test_a_disconnect_ends_a_wait_for_a_body_that_does_not_come() -> None:
    told: list[str] = []

    async def silence() -> AsyncIterator[bytes]:
        yield b"first"
        await anyio.sleep_forever()

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        told.append((await receive())["type"])
        told.append((await receive())["type"])

    async with open_exchange(app, "POST", "/", body=silence()) as exchange:
        await exchange.started()
    assert told == ["http.request", "http.disconnect"]


async def test_a_stalled_send_blocks_until_it_is_resumed() -> None:
    sent: list[bytes] = []

    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        await body(send, b"one")
        sent.append(b"one")

    async with open_exchange(app, "GET", "/") as exchange:
        exchange.stall_send()
        with pytest.raises(TimeoutError), anyio.fail_after(0.01):
            await exchange.started()
        assert sent == []
        exchange.resume_send()
        assert (await exchange.answer()).body == b"one"


async def test_a_refused_send_raises_inside_the_application() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await send(START)
        await receive()
        await body(send, b"one")

    async def late() -> AsyncIterator[bytes]:
        await go_on.wait()
        yield b""

    go_on = anyio.Event()
    async with open_exchange(app, "POST", "/", body=late()) as exchange:
        await exchange.started()
        exchange.refuse_send()
        go_on.set()
        with pytest.raises(OSError, match="closed"):
            await exchange.answer()


async def test_what_the_application_raises_reaches_the_test_unwrapped() -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        raise LookupError("nothing here")

    with pytest.raises(LookupError, match="nothing here"):
        await request(app, "GET", "/")


async def test_an_application_that_outlives_its_client_fails_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(scope: Any, receive: Receive, send: Send) -> None:
        await anyio.sleep_forever()

    monkeypatch.setattr("tests.harness.bridge.PATIENCE_SECONDS", 0.01)
    with pytest.raises(TimeoutError):
        async with open_exchange(app, "GET", "/"):
            pass

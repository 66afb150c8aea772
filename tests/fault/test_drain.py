"""A server told to stop says so at once, lets turns finish, ends the rest in order, and exits 0 (api.md 4.7)."""

import signal
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import anyio
import pytest

from tests.harness.client import API, Client
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.processes import Server
from tests.harness.service import serving, settings
from tests.harness.sse_client import all_ended

MODELS = {"endless": "mock-itl50-len100000", "short": "mock-itl50-len30"}
STREAMS = 100

SEND_HEAD = (
    f"POST {API}/chats:stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    "Expect: 100-continue\r\nContent-Length: 37\r\n\r\n"
).encode()

pytestmark = pytest.mark.timeout(40)


@asynccontextmanager
async def draining(folder: Path, database: Database, **drain: str) -> AsyncIterator[Client]:
    env: Mapping[str, str] = settings(database, MODELS) | {
        f"MINI_CHAT_DRAIN_{name.upper()}": value for name, value in drain.items()
    }
    async with serving(folder, database, env) as service, service.caller() as client:
        yield client


async def says_draining(client: Client) -> None:
    async def is_draining() -> bool:
        answer = await client.ask("GET", "/readyz")
        return (answer.status, answer.json()["status"]) == (503, "draining")

    await eventually(is_draining, within_s=1)


async def exited_within(server: Server, seconds: float) -> int:
    with anyio.fail_after(seconds):
        return await server.exited()


async def refuses_connections(port: int) -> bool:
    try:
        async with await anyio.connect_tcp("127.0.0.1", port):
            return False
    except OSError:
        return True


async def test_on_sigterm_new_sends_are_refused_and_every_stream_gets_its_terminal_event(
    tmp_path: Path, database: Database
) -> None:
    async with (
        draining(tmp_path, database, accept_window="300ms", turn_deadline="3s") as client,
        AsyncExitStack() as stack,
    ):
        models = ["short", "endless"] * (STREAMS // 2)
        streams = [await stack.enter_async_context(client.stream(model=model)) for model in models]
        for stream in streams[-2:]:
            await stream.first("delta")
        client.server.signal(signal.SIGTERM)
        await says_draining(client)
        refused = await client.ask("POST", "chats:stream", {"content": "Hello"})
        assert (refused.status, refused.json()["code"]) == (503, "service_unavailable")
        assert (refused.header("retry-after"), refused.header("connection")) == ("1", "close")
        assert (await client.ask("GET", "chats?limit=1")).status == 200
        with anyio.fail_after(20):
            terminals = await all_ended(streams)
        told = [terminal.data.get("code", "done") for terminal in terminals]
        assert told == ["done", "server_shutdown"] * (STREAMS // 2)
        assert all(terminal.data["retryable"] for terminal in terminals[1::2])
        assert await exited_within(client.server, 3) == 0


async def test_a_second_sigterm_ends_the_turns_at_once(tmp_path: Path, database: Database) -> None:
    async with (
        draining(tmp_path, database, accept_window="10s", turn_deadline="60s") as client,
        client.stream(model="endless") as stream,
    ):
        await stream.first("delta")
        client.server.signal(signal.SIGTERM)
        await says_draining(client)
        signalled = time.monotonic()
        client.server.signal(signal.SIGTERM)
        assert (await stream.end()).data["code"] == "server_shutdown"
        assert await exited_within(client.server, 3) == 0
        assert time.monotonic() - signalled < 2


async def test_ctrl_c_waits_for_turns_but_not_for_a_balancer(tmp_path: Path, database: Database) -> None:
    async with (
        draining(tmp_path, database, accept_window="30s", turn_deadline="20s") as client,
        client.stream(model="short") as stream,
        await anyio.connect_tcp("127.0.0.1", client.server.port),
    ):
        await stream.first("delta")
        client.server.signal(signal.SIGINT)
        assert (await stream.end()).event == "done"
        assert await exited_within(client.server, 3) == 0


async def test_a_send_let_in_before_the_drain_gets_its_terminal_event_after_it(
    tmp_path: Path, database: Database
) -> None:
    async with draining(tmp_path, database, accept_window="0s", turn_deadline="1ms") as client:
        async with await anyio.connect_tcp("127.0.0.1", client.server.port) as connection:
            await connection.send(SEND_HEAD)
            assert (await connection.receive()).startswith(b"HTTP/1.1 100 Continue")
            client.server.signal(signal.SIGTERM)
            await eventually(lambda: refuses_connections(client.server.port))
            await connection.send(b'{"content":"Hello","model":"endless"}')
            said = b"".join([data async for data in connection])
        assert b"event: stream_started" in said
        assert b'event: error\ndata: {"code":"server_shutdown"' in said
        assert await exited_within(client.server, 3) == 0

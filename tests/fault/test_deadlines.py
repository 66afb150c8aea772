"""Every deadline of a turn expires over real sockets, is milliseconds here, and ends the turn under its own code.

connect ─ first byte ─ first token ─ between tokens │ tool ─ … ─ finalise        engine.md 3.5
└────────────────────────── total ──────────────────────────┘    send: a reader that takes nothing
"""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any, Final

import anyio
import asyncpg
import msgspec
import pytest

from tests.harness.client import Client
from tests.harness.eventually import eventually
from tests.harness.postgres import Database, PostgresServer
from tests.harness.rows import connected
from tests.harness.service import Service, serving, settings
from tests.harness.sse_client import EventStream
from tests.harness.upstream import DONE, Action, Reply, Upstream, finish, sse, text

DEADLINES_MS: Final = {
    "MINI_CHAT_DEADLINE_CONNECT": 150,
    "MINI_CHAT_DEADLINE_FIRST_BYTE": 200,
    "MINI_CHAT_DEADLINE_FIRST_TOKEN": 250,
    "MINI_CHAT_DEADLINE_INTER_TOKEN": 300,
    "MINI_CHAT_DEADLINE_TOOL": 900,
    "MINI_CHAT_DEADLINE_TOTAL": 2500,
    "MINI_CHAT_STREAMING_SEND_DEADLINE": 300,
    "MINI_CHAT_TURN_FINALISE_DEADLINE": 250,
}
LEASE_MS: Final = 1000
LEASES: Final = {
    "MINI_CHAT_TURN_LEASE": f"{LEASE_MS}ms",
    "MINI_CHAT_TURN_HEARTBEAT": "200ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "200ms",
}
MODELS: Final = {
    "endless": "mock-itl20-len100000",
    "stuck-tool": "mock-tool1-itl60000-len1",
    "slow-tool": "mock-tool1-itl600-len1",
}
AT_ONCE_MS: Final = 1500
"""How much later than its deadline an ending may be on a busy machine."""

pytestmark = pytest.mark.timeout(60)


class Expiry(msgspec.Struct, frozen=True, kw_only=True):
    model: str = "remote"
    reply: Reply = sse()
    code: str = "provider_timeout"
    kept: str = ""


EXPIRIES: Final = {
    "DEADLINE_CONNECT": Expiry(model="unshaken"),
    "DEADLINE_FIRST_BYTE": Expiry(reply=Reply(before_head=[Action.HANG])),
    "DEADLINE_FIRST_TOKEN": Expiry(reply=sse(Action.HANG)),
    "DEADLINE_INTER_TOKEN": Expiry(reply=sse(text("Once "), Action.HANG), kept="Once "),
    "DEADLINE_TOOL": Expiry(model="stuck-tool"),
    "DEADLINE_TOTAL": Expiry(model="endless", code="turn_timeout"),
}


@pytest.fixture(scope="module")
def hasty_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
async def hasty_service(
    hasty_database: Database, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """Its model `unshaken` is at a port where nobody answers a TLS handshake."""
    unshaken = {"id": "unshaken", "provider_id": "unshaken", "provider_model_id": "unshaken"}
    env = settings(hasty_database, MODELS, upstream, unshaken) | LEASES
    env |= {name: f"{value}ms" for name, value in DEADLINES_MS.items()}
    env |= {
        "MINI_CHAT_PROVIDERS__UNSHAKEN__KIND": "openai_chat",
        "MINI_CHAT_PROVIDERS__UNSHAKEN__BASE_URL": upstream.url.replace("http", "https"),
        "MINI_CHAT_PROVIDERS__UNSHAKEN__ALLOW_PRIVATE_NETWORK": "true",
    }
    async with serving(tmp_path_factory.mktemp("hasty"), hasty_database, env) as service:
        yield service


@pytest.fixture
async def client(hasty_service: Service) -> AsyncIterator[Client]:
    async with hasty_service.caller() as client:
        yield client


async def ended_row(database: Database, stream: EventStream) -> tuple[str, str | None]:
    """State and code of the stream's turn, once it has ended."""

    async def ended() -> Any:
        return await connection.fetchrow(
            "SELECT state, error_code FROM mini_chat.chat_turns WHERE planned_message_id = $1 AND state <> 'running'",
            stream.message_id,
        )

    async with connected(database.superuser_dsn) as connection:
        state, error_code = await eventually(ended)
    return state, error_code


@asynccontextmanager
async def locked(database: Database, stream: EventStream) -> AsyncIterator[asyncpg.Connection]:
    """Nobody can change the stream's turn inside."""
    async with connected(database.superuser_dsn) as connection, connection.transaction():
        await connection.execute(
            "SELECT FROM mini_chat.chat_turns WHERE planned_message_id = $1 FOR UPDATE", stream.message_id
        )
        yield connection


@pytest.mark.parametrize("key", EXPIRIES)
async def test_a_deadline_ends_the_turn_in_time_and_under_its_own_code(
    client: Client, upstream: Upstream, hasty_database: Database, key: str
) -> None:
    expiry, deadline_ms = EXPIRIES[key], DEADLINES_MS[f"MINI_CHAT_{key}"]
    upstream.reply(expiry.reply)
    sent = time.monotonic()
    stream = await client.told(model=expiry.model)
    took_ms = (time.monotonic() - sent) * 1000
    assert stream.terminal is not None
    assert (stream.terminal.data["code"], stream.terminal.data["retryable"]) == (expiry.code, True)
    assert deadline_ms <= took_ms < deadline_ms + AT_ONCE_MS
    assert await ended_row(hasty_database, stream) == ("failed", expiry.code)
    assert stream.text == expiry.kept or key == "DEADLINE_TOTAL"
    with anyio.fail_after(1):
        await upstream.idle.wait()


async def test_the_deadline_between_tokens_rests_while_a_tool_runs(client: Client) -> None:
    stream = await client.told(model="slow-tool")
    assert [frame.event for frame in stream.frames] == ["stream_started", "tool", "tool", "delta", "done"]


async def test_a_reader_that_takes_nothing_for_the_send_deadline_is_let_go(
    client: Client, upstream: Upstream, hasty_database: Database
) -> None:
    upstream.reply(sse(*[text("x" * 4096)] * 2500, finish(), DONE))
    async with client.stream(model="remote") as stream:
        await stream.first("delta")
        stream.stop_reading()
        assert await ended_row(hasty_database, stream) == ("cancelled", None)
    with anyio.fail_after(1):
        await upstream.idle.wait()


async def test_books_that_stay_locked_for_the_finalise_deadline_are_left_to_the_reaper(
    client: Client, upstream: Upstream, hasty_database: Database
) -> None:
    upstream.reply(sse(text("Once "), 0.5, finish(), DONE))
    async with client.stream(model="remote") as stream:
        await stream.first("delta")
        async with locked(hasty_database, stream):
            terminal = await stream.end()
        assert (terminal.data["code"], terminal.data["retry_after_ms"]) == ("internal_error", LEASE_MS)
    client.streams.remove(stream)  # the one ending of which readers are told before the rows know (api.md 4.8)
    assert await ended_row(hasty_database, stream) == ("failed", "orphan_timeout")

"""The process that runs turns is killed or frozen at any moment while another one lives: that one ends its turns.

Every accepted turn is terminal within lease + reaper interval + 5 s, with its user message, and whoever owned it
before writes nothing any more (reliability.md I-04, I-11; rows P-03 to P-06 and P-10).
"""

import os
import random
import signal
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import aiohttp
import anyio
import asyncpg
import pytest

from tests.harness.chance import seeded
from tests.harness.client import Client, calling
from tests.harness.eventually import eventually
from tests.harness.postgres import Database, PostgresServer
from tests.harness.processes import mini_chat
from tests.harness.rows import connected
from tests.harness.service import Service, serving, settings
from tests.harness.sse_client import EventStream, all_ended

LEASES: Final = {
    "MINI_CHAT_TURN_LEASE": "600ms",
    "MINI_CHAT_TURN_HEARTBEAT": "150ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "200ms",
}
BOUND_S: Final = 0.6 + 0.2 + 5
MODELS: Final = {
    "endless": "mock-itl20-len100000",
    "silent": "mock-ttft60000",
    "short": "mock-itl10-len20",
    "blurting": "mock-len2000",
}
KILLS: Final = int(os.environ.get("TESTS_KILLS", "12"))
LANES, FREEZES = 4, 5
LATEST_S: Final = 0.5

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def orphans_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
async def survivor(orphans_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    env = settings(orphans_database, MODELS) | LEASES
    async with serving(tmp_path_factory.mktemp("survivor"), orphans_database, env) as service:
        yield service


async def tell(client: Client, model: str, delay_s: float) -> None:
    """A send that may or may not be accepted before the server dies."""
    await anyio.sleep(delay_s)
    try:
        async with client.stream(model=model) as stream:
            await stream.body()
    except (aiohttp.ClientError, OSError):
        pass


async def killed_at_random(
    folder: Path, env: Mapping[str, str], dice: random.Random
) -> tuple[float, list[EventStream]]:
    """When a server with turns in every stage was killed, and the streams it had accepted by then."""
    async with mini_chat(folder, env=env) as server, calling(server) as client, anyio.create_task_group() as tasks:
        for model in [*MODELS, *MODELS]:
            tasks.start_soon(tell, client, model, dice.uniform(0, LATEST_S))
        await anyio.sleep(dice.uniform(0, LATEST_S))
        server.signal(signal.SIGKILL)
        killed = time.monotonic()
        await server.exited()
    return killed, [stream for stream in client.streams if stream.frames]


async def all_terminal(connection: asyncpg.Connection, streams: list[EventStream]) -> None:
    ids = [stream.message_id for stream in streams]

    async def none_runs() -> bool:
        ended: int = await connection.fetchval(
            "SELECT count(*) FROM mini_chat.chat_turns WHERE planned_message_id = ANY($1) AND state <> 'running'", ids
        )
        return ended == len(ids)

    await eventually(none_runs, within_s=BOUND_S)


async def books(connection: asyncpg.Connection) -> list[Any]:
    """Every row that an owner may write."""
    tables = ("chats", "chat_turns", "messages", "turn_parts")
    return [
        await connection.fetch(f"SELECT * FROM mini_chat.{table} ORDER BY 1, 2, 3")  # noqa: S608 names from above
        for table in tables
    ]


async def test_whatever_servers_were_doing_when_they_were_killed_their_turns_end_in_time(
    survivor: Service, orphans_database: Database, tmp_path: Path
) -> None:
    dice = seeded("kills")
    env = settings(orphans_database, MODELS) | LEASES

    async def kill_in_turn(lane: int, client: Client) -> None:
        async with connected(orphans_database.superuser_dsn) as connection:
            for number in range(KILLS // LANES):
                killed, streams = await killed_at_random(tmp_path / f"{lane}-{number}", env, dice)
                client.streams += streams
                await all_terminal(connection, streams)
                assert time.monotonic() - killed < BOUND_S

    async with survivor.caller() as client, anyio.create_task_group() as tasks:
        for lane in range(LANES):
            tasks.start_soon(kill_in_turn, lane, client)
    async with connected(orphans_database.superuser_dsn) as connection:
        reaped = "SELECT count(*) FROM mini_chat.chat_turns WHERE error_code = 'orphan_timeout'"
        assert await connection.fetchval(reaped) >= KILLS


async def test_an_owner_that_wakes_after_its_turns_were_ended_writes_nothing_and_tells_what_stands(
    survivor: Service, orphans_database: Database, tmp_path: Path
) -> None:
    dice = seeded("freezes")
    env = settings(orphans_database, MODELS) | LEASES | {"MINI_CHAT_DATABASE_IDLE_IN_TX_TIMEOUT": "300ms"}
    reaped = 0
    async with (
        serving(tmp_path, orphans_database, env) as zombie,
        zombie.caller() as client,
        connected(orphans_database.superuser_dsn) as connection,
    ):
        for _ in range(FREEZES):
            async with AsyncExitStack() as stack:
                models = [*MODELS, *MODELS]
                streams = [await stack.enter_async_context(client.stream(model=model)) for model in models]
                for stream in streams:
                    await stream.first("stream_started")
                await anyio.sleep(dice.uniform(0, LATEST_S))
                zombie.server.signal(signal.SIGSTOP)
                await all_terminal(connection, streams)
                before = await books(connection)
                zombie.server.signal(signal.SIGCONT)
                with anyio.fail_after(5):
                    terminals = await all_ended(streams)
                assert await books(connection) == before
                reaped += sum(terminal.data.get("code") == "orphan_timeout" for terminal in terminals)
    assert reaped >= FREEZES

"""Several processes on one socket: one that is killed is replaced, and none outlives its parent."""

import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import anyio
import pytest

from tests.harness.client import Client, calling
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.harness.processes import child_process, mini_chat, mini_chat_command
from tests.harness.rows import connected
from tests.harness.service import model_list, serving, settings
from tests.harness.sse_client import EventStream, all_ended

ENDLESS = {"endless": "mock-itl20-len100000"}
SHORT_LEASE = {
    "MINI_CHAT_TURN_LEASE": "1s",
    "MINI_CHAT_TURN_HEARTBEAT": "200ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "200ms",
}
pytestmark = pytest.mark.timeout(60)


def descendants(pid: int) -> list[int]:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [found for child in children for found in (int(child), *descendants(int(child)))]


def workers(pid: int) -> set[int]:
    return {child for child in descendants(pid) if "spawn_main" in command_of(child)}


def command_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except (FileNotFoundError, ProcessLookupError):
        return ""


async def gone(pids: list[int], seconds: float) -> None:
    await until(lambda: not any(map(command_of, pids)), within_s=seconds)


async def both_answer(client: Client, database: Database, stack: AsyncExitStack) -> list[EventStream]:
    """Streams, of which each worker tells some."""
    streams = []
    async with connected(database.superuser_dsn) as connection:
        with anyio.fail_after(10):
            while await connection.fetchval("SELECT count(DISTINCT owner_id) FROM mini_chat.chat_turns") < 2:
                streams.append(await stack.enter_async_context(client.stream()))
    return streams


async def still_told_or_cut(stream: EventStream) -> None:
    seen = len(stream.frames)
    async for _ in stream:
        if len(stream.frames) > seen + 100:
            return


async def replaced(parent: int, before: set[int]) -> None:
    """As many workers as before, none of whom is the killed one."""
    await until(lambda: workers(parent) != before and len(workers(parent)) == len(before), within_s=10)


async def test_a_killed_worker_is_replaced_and_its_turns_are_ended(tmp_path: Path, database: Database) -> None:
    env = settings(database, ENDLESS) | SHORT_LEASE
    async with serving(tmp_path, database, env, "--workers", "2") as service, service.caller() as client:
        server = service.server
        before = workers(server.pid)
        assert len(before) == 2
        async with AsyncExitStack() as stack:
            streams = await both_answer(client, database, stack)
            os.kill(min(before), signal.SIGKILL)
            await replaced(server.pid, before)
            with anyio.fail_after(5):
                for stream in streams:
                    await still_told_or_cut(stream)
        assert {stream.cut for stream in streams} == {True, False}


async def test_on_sigterm_the_streams_of_every_worker_get_their_terminal_event(
    tmp_path: Path, database: Database
) -> None:
    env = settings(database, ENDLESS) | {"MINI_CHAT_DRAIN_TURN_DEADLINE": "500ms"}
    async with (
        serving(tmp_path, database, env, "--workers", "2") as service,
        service.caller() as client,
        AsyncExitStack() as stack,
    ):
        streams = await both_answer(client, database, stack)
        service.server.signal(signal.SIGTERM)
        with anyio.fail_after(5):
            terminals = await all_ended(streams)
            assert await service.server.exited() == 0
    assert {terminal.data["code"] for terminal in terminals} == {"server_shutdown"}


async def test_workers_and_database_go_with_a_killed_parent(tmp_path: Path) -> None:
    env = {"MINI_CHAT_MODELS": model_list(ENDLESS)}
    async with (
        mini_chat(tmp_path, "--workers", "2", env=env) as server,
        calling(server) as client,
        client.stream() as stream,
    ):
        await stream.first("delta")
        family = descendants(server.pid)
        assert len(workers(server.pid)) == 2
        assert any("postgres" in command_of(pid) for pid in family)
        server.signal(signal.SIGKILL)
        await gone(family, 5)


async def test_what_a_worker_could_not_start_with_stops_the_parent_before(tmp_path: Path, database: Database) -> None:
    env = settings(database, ENDLESS) | {"MINI_CHAT_DATABASE_URL": database.superuser_dsn}
    command: list[str | Path] = [mini_chat_command(), "serve", "--port", "0", "--workers", "2"]
    async with child_process(command, directory=tmp_path, env=env) as child:
        with anyio.fail_after(10):
            assert await child.exited() == 2
        assert child.output().startswith("mini-chat: The database is not safe to serve from")

"""Two replicas behind nginx are restarted one after the other under load: no accepted turn is lost (row X-01)."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final
from uuid import uuid4

import anyio
import pytest

from tests.harness.auditor import audit
from tests.harness.bridge import Answer
from tests.harness.client import Client, calling
from tests.harness.eventually import eventually, until
from tests.harness.nginx import balancer
from tests.harness.postgres import Database
from tests.harness.processes import Server, free_port, mini_chat
from tests.harness.rows import connected
from tests.harness.service import settings

pytestmark = [pytest.mark.nginx, pytest.mark.timeout(120)]

SENDERS: Final = 8
MODELS: Final = {"short": "mock-ttft50-itl20-len30"}
DRAIN: Final = {"MINI_CHAT_DRAIN_ACCEPT_WINDOW": "200ms", "MINI_CHAT_DRAIN_TURN_DEADLINE": "20s"}
EXITS_WITHIN_S: Final = 10


class Load:
    """Sends one message after the other, each under one key until it is accepted and answered to its end."""

    def __init__(self, client: Client) -> None:
        self.stopped = False
        self.answered: set[str] = set()
        self.refused = 0
        self._client = client

    async def run(self) -> None:
        async with anyio.create_task_group() as senders:
            for _ in range(SENDERS):
                senders.start_soon(self._send)

    async def _send(self) -> None:
        while not self.stopped:
            key = str(uuid4())
            while not await self._answered(key):  # noqa: ASYNC110 -- a refusal says when to come back
                await anyio.sleep(0.1)
            self.answered.add(key)

    async def _answered(self, key: str) -> bool:
        """A refusal has to be one after which the same send may be tried again."""
        told = await self._client.attempt(content="Hello", request_id=key)
        if isinstance(told, Answer):
            assert (told.status, told.header("retry-after")) == (503, "1"), told
            self.refused += 1
            return False
        assert told.terminal is not None, told.frames
        assert told.terminal.event == "done", told.terminal
        return True


@asynccontextmanager
async def restarted(folder: Path, server: Server, env: Mapping[str, str]) -> AsyncIterator[Server]:
    """A new process in the place of one that is told to stop."""
    server.signal(signal.SIGTERM)
    with anyio.fail_after(EXITS_WITHIN_S):
        assert await server.exited() == 0, server.output()
    async with mini_chat(folder, env=env, port=server.port) as successor:
        yield successor


async def works(database: Database, load: Load, owners: int) -> None:
    """So many processes have run turns, and some have been answered since now."""
    before = len(load.answered)
    async with connected(database.superuser_dsn) as connection:
        query = "SELECT count(DISTINCT owner_id) FROM mini_chat.chat_turns"

        async def all_have() -> bool:
            return int(await connection.fetchval(query)) >= owners

        await eventually(all_have, within_s=15)
    await until(lambda: len(load.answered) >= before + SENDERS, within_s=15)


async def test_replicas_restarted_in_turn_lose_no_accepted_turn(tmp_path: Path, database: Database) -> None:
    env = settings(database, MODELS) | DRAIN
    ports = free_port(), free_port()
    async with (
        mini_chat(tmp_path / "a", env=env, port=ports[0]) as first,
        mini_chat(tmp_path / "b", env=env, port=ports[1]) as second,
        balancer(tmp_path / "nginx", ports) as nginx,
        calling(nginx) as client,
    ):
        load = Load(client)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(load.run)
            await works(database, load, owners=2)
            async with restarted(tmp_path / "a", first, env):
                await works(database, load, owners=3)
                async with restarted(tmp_path / "b", second, env):
                    await works(database, load, owners=4)
                    load.stopped = True
                    await until(lambda: len(client.streams) == len(load.answered), within_s=15)
    await audit(database.superuser_dsn, client.streams)
    async with connected(database.superuser_dsn) as connection:
        keys = await connection.fetch("SELECT request_id::text AS key, state FROM mini_chat.chat_turns")
    assert {row["key"] for row in keys} == load.answered
    assert {row["state"] for row in keys} == {"completed"}

"""Turns of every ending while servers are killed under them: afterwards the books are right to the micro-credit.

TESTS_SOAK_TURNS sets how many turns, TESTS_SEED repeats the choices; the auditor's lines are printed at the end.
"""

import os
import random
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import aiohttp
import anyio
import pytest
from typing_extensions import override

from infra.postgres.audit import auditor
from tests.harness.auditor import audit
from tests.harness.chance import seeded
from tests.harness.client import Client, calling
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.processes import Server, mini_chat
from tests.harness.rows import connected
from tests.harness.service import settings
from tests.harness.upstream import DONE, Action, Exchange, Reply, Upstream, finish, refusal, sse, text, usage

TURNS: Final = int(os.environ.get("TESTS_SOAK_TURNS", "100"))
SERVERS, CALLERS = 2, 8
LIVES_FOR: Final = (20, 60)
"""So many turns are begun between two kills."""
SHORT_LEASE: Final = {
    "MINI_CHAT_TURN_LEASE": "2s",
    "MINI_CHAT_TURN_HEARTBEAT": "300ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "300ms",
    "MINI_CHAT_DEADLINE_INTER_TOKEN": "3s",
    "MINI_CHAT_QUOTA_TOTAL_DAILY_MICRO": str(10**15),
    "MINI_CHAT_QUOTA_WEB_SEARCH_DAILY": "32767",
    "MINI_CHAT_QUOTA_TOTAL_MONTHLY_MICRO": str(10**16),
}
ALL_END_WITHIN_S: Final = 30

WORDS: Final = (text("Once "), 0.02, text("upon "), 0.02, text("a time"))
REPLIES: Final[Mapping[str, Reply]] = {
    "reported": sse(*WORDS, finish(), usage(40, 12), DONE),
    "missing": sse(*WORDS, finish(), DONE),
    "nothing": sse(*WORDS, finish(), usage(0, 0), DONE),
    "negative": sse(*WORDS, finish(), usage(-40, 12), DONE),
    "overshoot": sse(*WORDS, finish(), usage(9_000_000, 9_000_000), DONE),
    "reset": sse(*WORDS, Action.RESET),
    "silent": sse(*WORDS, Action.HANG),
    "cut": sse(*WORDS),
    "refused": refusal(500, {"error": {"message": "no"}}),
    "throttled": refusal(429, {"error": {"message": "slowly"}}),
    "too long": refusal(400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
}

SEARCHERS: Final[Mapping[str, str]] = {"careful": "mock-itl20-len5-tool2", "eager": "mock-itl10-len5-tool3"}
SEARCHING: Final = [
    {"id": name, "provider_id": "scripted", "provider_model_id": script, "tool_support": {"web_search": True}}
    for name, script in SEARCHERS.items()
]
"""One keeps to the two searches of a message, the other does not."""

pytestmark = pytest.mark.timeout(120 + TURNS)


class RandomUpstream(Upstream):
    def __init__(self, chance: random.Random) -> None:
        super().__init__()
        self.given: Counter[str] = Counter()
        self._chance = chance

    @override
    def reply_to(self, exchange: Exchange) -> Reply:
        kind = self._chance.choice(list(REPLIES))
        self.given[kind] += 1
        return REPLIES[kind]


class Soak:
    """`begun` counts sends; whatever becomes of one, the rows have to say the truth about it."""

    def __init__(self, chance: random.Random) -> None:
        self.begun = 0
        self.kills = 0
        self.servers: dict[int, Server] = {}
        self._chance = chance

    async def keep_alive(self, index: int, folder: Path, env: Mapping[str, str]) -> None:
        """One server after the other, each killed in mid-work, until all turns have begun."""
        while self.begun < TURNS:
            async with mini_chat(folder / f"{index}-{self.kills}", env=env) as server:
                self.servers[index] = server
                until = self.begun + self._chance.randint(*LIVES_FOR)
                while self.begun < min(until, TURNS):  # noqa: ASYNC110 - counted by others
                    await anyio.sleep(0.01)
                del self.servers[index]
                server.signal(signal.SIGKILL)
                await server.exited()
                self.kills += 1

    async def call(self) -> None:
        while self.begun < TURNS:
            if not self.servers:
                await anyio.sleep(0.05)
                continue
            server = self._chance.choice(list(self.servers.values()))
            self.begun += 1
            try:
                async with calling(server) as client:
                    await self._one_turn(client)
            except (aiohttp.ClientError, OSError, AssertionError):
                """The server was killed under the call."""

    async def _one_turn(self, client: Client) -> None:
        on_disconnect = self._chance.choice(["cancel", "continue"])
        model = self._chance.choice(["remote", "remote", *SEARCHERS])
        wishes: dict[str, Any] = {"web_search": {"enabled": True}} if model in SEARCHERS else {}
        async with client.opened(model=model, on_disconnect=on_disconnect, **wishes) as response:
            chat_id = response.headers.get("X-Chat-Id")
            match self._chance.choice(["read", "read", "leave", "leave early", "cancel"]):
                case "leave early":
                    return
                case "leave":
                    await response.content.readany()
                case "cancel":
                    await anyio.sleep(self._chance.random() * 0.1)
                    await client.ask("POST", f"chats/{chat_id}/turns/latest/cancel")
                case _:
                    await response.read()


async def none_runs(database: Database) -> bool:
    async with connected(database.superuser_dsn) as connection:
        return not await connection.fetchval("SELECT count(*) FROM mini_chat.chat_turns WHERE state = 'running'")


async def states(database: Database) -> dict[str, int]:
    query = """
        SELECT state || ' ' || coalesce(error_code, settlement) || CASE WHEN capped THEN ' capped' ELSE '' END AS name,
            count(*) AS turns
        FROM mini_chat.chat_turns GROUP BY 1 ORDER BY 1"""
    async with connected(database.superuser_dsn) as connection:
        return {row["name"]: row["turns"] for row in await connection.fetch(query)}


async def test_after_turns_of_every_ending_the_books_are_right(tmp_path: Path, database: Database) -> None:
    chance = seeded("soak")
    soak = Soak(chance)
    async with RandomUpstream(chance) as upstream:
        env = settings(database, {"quick": "mock-len3"}, upstream, *SEARCHING) | SHORT_LEASE
        async with anyio.create_task_group() as work:
            for index in range(SERVERS):
                work.start_soon(soak.keep_alive, index, tmp_path, env)
            for _ in range(CALLERS):
                work.start_soon(soak.call)
        async with mini_chat(tmp_path / "last", env=env):
            await eventually(lambda: none_runs(database), within_s=ALL_END_WITHIN_S)
            await audit(database.superuser_dsn, [])
            findings = await auditor.audit(database.superuser_dsn)
    ended = await states(database)
    for line in (
        f"{soak.begun} sends, {sum(ended.values())} turns, {soak.kills} kills",
        f"upstream: {dict(sorted(upstream.given.items()))}",
        f"turns: {ended}",
        *(f"{finding.check} {finding.violations}" for finding in findings),
    ):
        print(line)  # noqa: T201 - what an acceptance run is for
    assert not [finding for finding in findings if finding.violations]
    assert sum(ended.values()) >= TURNS / 2
    assert soak.kills >= SERVERS

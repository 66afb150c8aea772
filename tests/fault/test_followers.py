"""Two servers on one database, one of which goes away while somebody follows a turn of the other."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tests.harness.auditor import audit
from tests.harness.client import Client, calling
from tests.harness.postgres import Database
from tests.harness.processes import Server, mini_chat
from tests.harness.service import STOPS_WITHIN_S, settings
from tests.harness.sse_client import shown

MODELS = {"endless": "mock-itl20-len100000"}
SHORT_LEASE = {
    "MINI_CHAT_TURN_LEASE": "1s",
    "MINI_CHAT_TURN_HEARTBEAT": "200ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "200ms",
    "MINI_CHAT_STREAMING_FOLLOW_INTERVAL": "100ms",
}
OF_A_REAPED_TURN = 2**31 - 1
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
async def two(tmp_path: Path, database: Database) -> AsyncIterator[tuple[Server, Server]]:
    env = settings(database, MODELS) | SHORT_LEASE
    async with (
        mini_chat(tmp_path / "owner", env=env) as owner,
        mini_chat(tmp_path / "other", env=env) as other,
    ):
        yield owner, other


@pytest.fixture
async def here(two: tuple[Server, Server]) -> AsyncIterator[Client]:
    async with calling(two[0]) as client:
        yield client


@pytest.fixture
async def elsewhere(two: tuple[Server, Server]) -> AsyncIterator[Client]:
    async with calling(two[1]) as client:
        yield client


async def test_who_follows_a_turn_is_told_that_its_server_was_lost(
    two: tuple[Server, Server], here: Client, elsewhere: Client, database: Database
) -> None:
    chat_id = await here.chat()
    async with here.stream(chat_id) as first, elsewhere.follow(chat_id) as follower:
        await follower.first("stream_started")
        await first.first("delta", 50)
        two[0].signal(signal.SIGKILL)
        with anyio.fail_after(10):
            await first.broken_off()
            terminal = await follower.end()
    assert (terminal.data["code"], terminal.data["retryable"]) == ("orphan_timeout", True)
    assert terminal.number == OF_A_REAPED_TURN
    assert follower.text
    assert first.text.startswith(follower.text)
    with anyio.fail_after(5):
        async with elsewhere.follow(chat_id, position=first.newest) as resumed:
            assert (await resumed.end()).data == terminal.data
    assert shown([first, resumed]) == follower.text
    await audit(database.superuser_dsn, [first])


async def test_a_server_that_stops_lets_go_of_those_who_follow_turns_of_others(
    two: tuple[Server, Server], here: Client, elsewhere: Client
) -> None:
    """Their turns go on, so they are told no end; they resume at the next server."""
    chat_id = await here.chat()
    async with here.stream(chat_id) as first:
        await first.first("delta")
        async with elsewhere.follow(chat_id) as follower:
            await follower.first("stream_started")
            two[1].signal(signal.SIGTERM)
            with anyio.fail_after(STOPS_WITHIN_S):
                await follower.body()
                assert await two[1].exited() == 0
            assert follower.terminal is None
        seen = len(first.frames)
        await first.first("delta", seen + 10)

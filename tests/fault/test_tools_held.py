"""A server is killed in the middle of a search: what the turn held of the day's calls comes back."""

import signal
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from tests.harness.client import calling
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.processes import mini_chat
from tests.harness.rows import connected
from tests.harness.service import serving, settings

SHORT_LEASE: Final = {
    "MINI_CHAT_TURN_LEASE": "1s",
    "MINI_CHAT_TURN_HEARTBEAT": "200ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "200ms",
    "MINI_CHAT_QUOTA_WEB_SEARCH_DAILY": "2",
}
SEARCHER: Final = {
    "id": "searcher",
    "provider_id": "scripted",
    "provider_model_id": "mock-itl20000-len1-tool1",
    "tool_support": {"web_search": True},
}
HELD: Final = "SELECT sum(web_search_held)::int FROM mini_chat.quota_buckets"
GIVEN_BACK: Final = "SELECT sum(web_search_held) = 0 FROM mini_chat.quota_buckets"

pytestmark = pytest.mark.timeout(60)


async def test_a_search_that_died_with_its_server_is_not_held_for_ever(tmp_path: Path, database: Database) -> None:
    env = settings(database, {"plain": "mock-len1"}, None, SEARCHER) | SHORT_LEASE
    searching: dict[str, Any] = {"model": "searcher", "web_search": {"enabled": True}}
    async with connected(database.superuser_dsn) as connection:
        async with (
            mini_chat(tmp_path, env=env) as server,
            calling(server) as client,
            client.stream(**searching) as stream,
        ):
            await stream.first("tool")
            assert await connection.fetchval(HELD) == 2
            refused = await client.ask("POST", "chats:send", {"content": "Hello", **searching})
            assert refused.json()["quota_scope"] == "web_search"
            server.signal(signal.SIGKILL)
            with anyio.fail_after(5):
                await stream.broken_off()
        async with serving(tmp_path, database, env) as service, service.caller() as heir:
            await eventually(lambda: connection.fetchval(GIVEN_BACK))
            async with heir.stream(**searching) as again:
                await again.first("tool")
        states = await connection.fetch("SELECT error_code FROM mini_chat.chat_turns ORDER BY started_at")
    assert states[0]["error_code"] == "orphan_timeout"

"""Somebody cancels a turn whose process is gone: whoever ends it ends it as cancelled, and the receipt says so."""

import signal
from pathlib import Path
from typing import Final

import anyio
import pytest

from tests.harness.client import calling
from tests.harness.postgres import Database
from tests.harness.processes import mini_chat
from tests.harness.service import serving, settings

SHORT_LEASE: Final = {
    "MINI_CHAT_TURN_LEASE": "1s",
    "MINI_CHAT_TURN_HEARTBEAT": "200ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "200ms",
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("last", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
async def test_a_turn_of_a_lost_process_is_cancelled_by_whoever_ends_it(
    tmp_path: Path, database: Database, last: signal.Signals
) -> None:
    env = settings(database, {"endless": "mock-itl20-len100000"}) | SHORT_LEASE
    async with (
        serving(tmp_path / "other", database, env) as other,
        other.caller() as elsewhere,
        mini_chat(tmp_path / "owner", env=env) as owner,
        calling(owner) as client,
    ):
        chat_id = await client.chat()
        async with client.stream(chat_id) as stream:
            await stream.first("delta", 20)
            owner.signal(last)
            with anyio.fail_after(10):
                answer = await elsewhere.ask("POST", f"chats/{chat_id}/turns/latest/cancel")
        assert answer.json()["state"] == "cancelled"
        assert answer.json()["upstream_closed_ms"] is None
        turn = await elsewhere.ask("GET", f"chats/{chat_id}/turns/latest")
        assert turn.json()["state"] == "cancelled"
        owner.signal(signal.SIGKILL)

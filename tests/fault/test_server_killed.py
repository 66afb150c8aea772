"""A server is killed in mid-answer: the next one on the same data ends its turn and serves the chat again."""

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest

from tests.harness.client import Client, calling
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.processes import mini_chat
from tests.harness.rows import connected
from tests.harness.service import model_list, serving, settings
from tests.harness.sse_client import EventStream

LEASE_S = 1
SHORT_LEASE = {
    "MINI_CHAT_TURN_LEASE": f"{LEASE_S}s",
    "MINI_CHAT_TURN_HEARTBEAT": "200ms",
    "MINI_CHAT_TURN_REAPER_INTERVAL": "200ms",
}
ENDLESS = {"story": "mock-itl20-len100000"}
SHORT = {"story": "mock-itl1-len5"}

pytestmark = pytest.mark.timeout(60)


async def killed_while_telling(directory: Path, env: Mapping[str, str], database: Database | None) -> EventStream:
    """The stream of a first message, of which some text had been saved when the server was killed."""
    async with mini_chat(directory, env=env) as server, calling(server) as client, client.stream() as stream:
        await stream.first("delta", 10)
        if database is not None:
            await some_text_saved(database)
        else:
            await stream.first("delta", 30)
        server.signal(signal.SIGKILL)
        with anyio.fail_after(5):
            await stream.broken_off()
    return stream


async def some_text_saved(database: Database) -> None:
    async with connected(database.superuser_dsn) as connection:
        await eventually(lambda: connection.fetchval("SELECT EXISTS (SELECT FROM mini_chat.turn_parts)"))


async def the_chat_goes_on(client: Client, stream: EventStream) -> None:
    """The lost turn is closed in time, what was said is kept, and the next message is answered."""
    chat_id = (await client.ask("GET", "chats")).json()["items"][0]["id"]

    async def question_and_answer() -> list[dict[str, Any]]:
        messages = await client.messages(chat_id)
        return messages if len(messages) == 2 else []

    user, answer = await eventually(question_and_answer, within_s=LEASE_S + 5)
    assert (user["role"], user["content"]) == ("user", "Hello")
    assert (answer["id"], answer["status"]) == (stream.message_id, "partial")
    assert answer["content"]
    assert stream.text.startswith(answer["content"])
    terminal = (await client.told(chat_id)).terminal
    assert terminal is not None
    assert terminal.event == "done"


async def test_a_turn_of_a_killed_server_is_ended_by_the_next_one(tmp_path: Path, database: Database) -> None:
    env = settings(database, ENDLESS) | SHORT_LEASE
    stream = await killed_while_telling(tmp_path, env, database)
    env |= {"MINI_CHAT_MODELS": model_list(SHORT)}
    async with serving(tmp_path, database, env) as service, service.caller() as client:
        await the_chat_goes_on(client, stream)
        client.streams.append(stream)
    async with connected(database.superuser_dsn) as connection:
        assert await connection.fetchval("SELECT error_code FROM mini_chat.chat_turns ORDER BY id") == "orphan_timeout"


async def test_with_the_embedded_database_nothing_acknowledged_is_lost_either(tmp_path: Path) -> None:
    stream = await killed_while_telling(tmp_path, SHORT_LEASE | {"MINI_CHAT_MODELS": model_list(ENDLESS)}, None)
    env = SHORT_LEASE | {"MINI_CHAT_MODELS": model_list(SHORT)}
    async with mini_chat(tmp_path, env=env) as server, calling(server) as client:
        await the_chat_goes_on(client, stream)

"""A key that is replaced in its file while the server runs."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness.client import Client
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.service import serving, settings
from tests.harness.upstream import DONE, Exchange, Reply, Upstream, finish, refusal, sse, text

pytestmark = pytest.mark.timeout(30)
BEFORE_THE_NEXT_ROUND_S = 3


def knows(key: str) -> Callable[[Exchange], Reply]:
    def reply(exchange: Exchange) -> Reply:
        known = exchange.headers.get("authorization") == f"Bearer {key}"
        return sse(text("Hi"), finish(), DONE) if known else refusal(401, {})

    return reply


async def test_a_refused_key_is_read_again_at_once(tmp_path: Path, database: Database) -> None:
    file = tmp_path / "key"
    file.write_text("old")
    async with Upstream() as upstream:
        upstream.answer_with(knows("new"))
        env = settings(database, {"echo": "mock-echo"}, upstream)
        env |= {"MINI_CHAT_PROVIDERS__OPENAI__AUTH__KEY": f"file:{file}"}
        async with serving(tmp_path / "server", database, env) as service, service.caller() as client:
            file.write_text("new")
            assert await ended_with(client) == "provider_error"

            async def answered() -> bool:
                return await ended_with(client) == "done"

            await eventually(answered, within_s=BEFORE_THE_NEXT_ROUND_S)
            assert service.server.output().count("provider_needs_operator") == 1


async def ended_with(client: Client) -> str:
    stream = await client.told(await client.chat(model="remote"))
    assert stream.terminal is not None
    code: str = stream.terminal.data.get("code", stream.terminal.event)
    return code

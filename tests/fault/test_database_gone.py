"""PostgreSQL goes away under running turns and comes back: streams go on, endings wait for it, sends say when."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from infra.postgres.binaries import find_binaries
from infra.postgres.embedded import DATABASE, Durability, EmbeddedPostgres
from infra.postgres.migrate import upgrade
from tests.harness.client import Client
from tests.harness.postgres import Database, quick_folder
from tests.harness.service import serving, settings
from tests.harness.upstream import DONE, Upstream, finish, sse, text

pytestmark = pytest.mark.timeout(60)

PIECES = [step for number in range(40) for step in (f"word{number} ", 0.05)]
STEADY = sse(*[text(piece) if isinstance(piece, str) else piece for piece in PIECES], finish(), DONE)


@asynccontextmanager
async def a_database_of_its_own() -> AsyncIterator[tuple[EmbeddedPostgres, Database]]:
    with quick_folder() as folder:
        postgres = EmbeddedPostgres(folder, find_binaries(None), durability=Durability.DISPOSABLE)
        await postgres.start()
        try:
            await upgrade(postgres.superuser_dsn)
            yield postgres, Database(name=DATABASE, dsn=postgres.app_dsn, superuser_dsn=postgres.superuser_dsn)
        finally:
            await postgres.stop()


async def status_of(client: Client, path: str) -> tuple[int, float]:
    started = anyio.current_time()
    answer = await client.ask("GET", path)
    return answer.status, anyio.current_time() - started


async def test_streams_go_on_while_the_database_restarts(tmp_path: Path, upstream: Upstream) -> None:
    upstream.reply(STEADY)
    async with a_database_of_its_own() as (postgres, database):
        env = settings(database, {"echo": "mock-echo"}, upstream)
        async with serving(tmp_path, database, env) as service, service.caller() as client:
            chat_id = await client.chat(model="remote")
            async with client.stream(chat_id) as stream:
                await stream.first("delta", 3)
                await postgres.stop()
                refused = await client.ask("POST", "chats:stream", {"content": "Hello"})
                assert (refused.status, refused.json()["code"]) == (503, "service_unavailable")
                assert int(refused.header("retry-after") or 99) <= 2
                for path, expected in (("/livez", 200), ("/readyz", 503)):
                    status, seconds = await status_of(client, path)
                    assert (status, seconds < 1.5) == (expected, True), path
                with anyio.fail_after(10):
                    last = await stream.first("delta", 40)
                assert last.data["content"] == "word39 "
                assert stream.terminal is None
                await postgres.start()
                with anyio.fail_after(10):
                    assert (await stream.end()).event == "done"
            assert (await client.told(chat_id, "And again?")).terminal
            assert (await status_of(client, "/readyz"))[0] == 200

"""Whoever writes a summary is killed while the model writes: another one writes it, and both calls are paid."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from domain.summaries.trigger import SummaryRules
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.auditor import audit
from tests.harness.engine import MODEL, a_chat, a_user, running_engine
from tests.harness.eventually import eventually, until
from tests.harness.postgres import Database
from tests.harness.processes import ChildProcess, child_process, mini_chat_command
from tests.harness.rows import connected
from tests.harness.service import REMOTE, settings
from tests.harness.summaries import summary_of, talk
from tests.harness.upstream import DONE, Action, Reply, Upstream, finish, sse, text, usage

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60)]

WHO: Final = a_user()
EAGER: Final = SummaryRules(threshold_pct=1, keep_turns=1)
QUICK: Final = {
    "MINI_CHAT_JOBS_LEASE": "500ms",
    "MINI_CHAT_JOBS_POLL": "20ms",
    "MINI_CHAT_JOBS_DRAIN": "200ms",
}


@asynccontextmanager
async def a_worker(folder: Path, database: Database, upstream: Upstream) -> AsyncIterator[ChildProcess]:
    env = settings(database, {"echo": "mock-echo"}, upstream, {**REMOTE, "id": MODEL.id}) | QUICK
    async with child_process((mini_chat_command(), "worker"), directory=folder, env=env) as worker:
        await worker.printed("doing jobs")
        yield worker


async def test_a_worker_that_is_killed_while_a_model_writes_leaves_the_summary_to_another(
    database: Database, tmp_path: Path
) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("Well.")), summaries=EAGER) as engine:
        chat_id = await a_chat(engine, WHO)
        await talk(engine, WHO, chat_id, "one", "two")
    async with Upstream() as upstream:
        upstream.reply(
            Reply(steps=[text("Purp"), Action.HANG]),
            sse(text("<summary>Purpose: honey.</summary>"), finish(), usage(100, 20), DONE),
        )
        async with a_worker(tmp_path / "0", database, upstream) as doomed:
            await until(lambda: len(upstream.exchanges) == 1, within_s=10)
            await doomed.kill()
        async with a_worker(tmp_path / "1", database, upstream):
            stored = await eventually(lambda: summary_of(database.superuser_dsn, chat_id), within_s=20)
    assert stored == ("Purpose: honey.", 2, 1)
    async with connected(database.superuser_dsn) as connection:
        spent = "SELECT spent_micro FROM mini_chat.quota_buckets WHERE bucket = 'system'"
        assert await connection.fetchval(spent) > 120
    await audit(database.superuser_dsn, ())

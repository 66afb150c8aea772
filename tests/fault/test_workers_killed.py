"""Events reach their sink whatever happens to those who carry them (reliability.md I-51, W-01, W-02)."""

import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from domain.audit.events import Actor, EventType, Stream, audit_event
from domain.clock import SystemClock
from domain.ids import TenantId, UserId
from domain.scope import AccessScope
from infra.postgres.repositories.events import EventKeeping
from tests.harness.eventually import eventually, until
from tests.harness.jobs import transactions
from tests.harness.postgres import Database
from tests.harness.processes import ChildProcess, child_process, mini_chat_command
from tests.harness.rows import connected
from tests.harness.upstream import Action, Reply, Upstream

pytestmark = pytest.mark.postgres

EVENTS = 20
FINE = Reply(status=200)


def _settings(database: Database, upstream: Upstream) -> dict[str, str]:
    return {
        "MINI_CHAT_DATABASE_URL": database.dsn,
        "MINI_CHAT_AUDIT_SINK": upstream.url,
        "MINI_CHAT_EXPORTS_ALLOW_HTTP": "true",
        "MINI_CHAT_EXPORTS_ALLOW_PRIVATE_NETWORK": "true",
        "MINI_CHAT_EXPORTS_SIGNING_KEY": "env:WEBHOOK_KEY",
        "WEBHOOK_KEY": "k" * 32,
        "MINI_CHAT_JOBS_LEASE": "500ms",
        "MINI_CHAT_JOBS_POLL": "20ms",
        "MINI_CHAT_JOBS_DRAIN": "200ms",
    }


@asynccontextmanager
async def _worker(folder: Path, database: Database, upstream: Upstream) -> AsyncIterator[ChildProcess]:
    command = (mini_chat_command(), "worker")
    async with child_process(command, directory=folder, env=_settings(database, upstream)) as worker:
        await worker.printed("doing jobs")
        yield worker


async def _tell(database: Database, number: int) -> set[str]:
    """The keys of that many events, each of a tenant of its own."""
    keys: set[str] = set()
    async with transactions(database.dsn, EventKeeping(exported=frozenset({Stream.AUDIT}))) as begin:
        for _ in range(number):
            scope = AccessScope(tenant_id=TenantId(uuid4()), user_id=UserId(uuid4()))
            event = audit_event(EventType.CHAT_CREATED, scope, Actor.behind(scope), SystemClock().now())
            async with begin(scope) as tx:
                await tx.events.add(event)
            keys.add(event.dedupe_key)
    return keys


def _told(upstream: Upstream) -> Counter[str]:
    return Counter(exchange.headers["idempotency-key"] for exchange in upstream.exchanges)


@pytest.mark.timeout(60)
async def test_a_worker_that_is_killed_loses_no_event(database: Database, tmp_path: Path) -> None:
    """It had sent all of them and was told of none; two others send them once more."""
    async with Upstream() as upstream, AsyncExitStack() as workers:
        upstream.reply(Reply(before_head=[Action.HANG]))
        keys = await _tell(database, EVENTS)
        doomed = await workers.enter_async_context(_worker(tmp_path / "0", database, upstream))
        await until(lambda: set(_told(upstream)) == keys, within_s=10)
        upstream.reply(FINE)
        await doomed.kill()
        for name in ("1", "2"):
            await workers.enter_async_context(_worker(tmp_path / name, database, upstream))
        await until(lambda: all(times >= 2 for times in _told(upstream).values()), within_s=20)
        async with connected(database.superuser_dsn) as connection:
            jobs = "SELECT NOT EXISTS (SELECT FROM mini_chat.jobs)"
            await eventually(lambda: connection.fetchval(jobs), within_s=10)
        assert _told(upstream) == dict.fromkeys(keys, 2)


@pytest.mark.timeout(60)
async def test_a_worker_that_is_stopped_gives_back_what_it_cannot_finish(database: Database, tmp_path: Path) -> None:
    async with Upstream() as upstream:
        upstream.reply(Reply(before_head=[Action.HANG]))
        await _tell(database, 3)
        async with _worker(tmp_path, database, upstream) as worker:
            await until(lambda: len(_told(upstream)) == 3, within_s=10)
            worker.signal(signal.SIGTERM)
            assert await worker.exited() == 0, worker.output()
    async with connected(database.superuser_dsn) as connection:
        left = await connection.fetch("SELECT status::text, attempts, count(*) FROM mini_chat.jobs GROUP BY 1, 2")
    assert [tuple(row) for row in left] == [("queued", 0, 3)]

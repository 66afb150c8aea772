"""Dead letters are seen by metrics and readiness, however many other jobs there are."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import msgspec
import pytest

from domain.clock import SystemClock
from domain.operations.dead_letters import DeadLetterWatch
from infra.postgres.repositories import dead_jobs
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.jobs import a_job, enqueue, transactions
from tests.harness.postgres import Database
from tests.harness.rows import connected

pytestmark = pytest.mark.postgres

WAITING = """
    INSERT INTO mini_chat.jobs (priority, entrypoint, payload, headers, status)
    SELECT 0, 'usage_export', '', '{}', 'queued' FROM generate_series(1, 20000)
"""


@pytest.fixture
async def begin(database: Database) -> AsyncIterator[PostgresUnitOfWork]:
    async with transactions(database.dsn) as begin:
        yield begin


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with connected(database.superuser_dsn) as connection:
        yield connection


async def test_what_is_dead_is_counted_by_queue_until_it_is_let_go(
    begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    telemetry, seen = CountingTelemetry(), list[bool]()
    watch = DeadLetterWatch(begin, SystemClock(), telemetry)
    await enqueue(begin, a_job(), a_job(), a_job())
    await watch.look()
    seen.append(watch.any_dead)
    assert telemetry.gauged["jobs_dead", "audit_export"] == 0

    await admin.execute(
        "UPDATE mini_chat.jobs SET status = 'failed', updated = now() - id * interval '1 hour' WHERE id IN"
        " (SELECT id FROM mini_chat.jobs ORDER BY id LIMIT 2)"
    )
    oldest_hours = await admin.fetchval("SELECT max(id) FROM mini_chat.jobs WHERE status = 'failed'")
    await watch.look()
    seen.append(watch.any_dead)
    assert (telemetry.gauged["jobs_dead", "audit_export"], telemetry.gauged["jobs_dead", "usage_export"]) == (2, 0)
    age_s = telemetry.gauged["jobs_oldest_dead_seconds", "audit_export"]
    assert oldest_hours * 3600 <= age_s < oldest_hours * 3600 + 60

    await admin.execute("UPDATE mini_chat.jobs SET status = 'queued'")
    await watch.look()
    seen.append(watch.any_dead)
    assert set(telemetry.gauged.values()) == {0}
    assert seen == [False, True, False]


async def test_jobs_that_wait_are_not_looked_at_to_find_the_dead(admin: asyncpg.Connection) -> None:
    await admin.execute(WAITING)
    await admin.execute("ANALYZE mini_chat.jobs")
    explained = await admin.fetchval(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {dead_jobs._DEAD_BY_QUEUE.text}")
    plan: dict[str, Any] = msgspec.json.decode(explained)[0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 10

"""What has expired is forgotten, whosever it is; what somebody may still ask for stays."""

from datetime import timedelta

import pytest

from domain.audit.events import Actor, EventType, Stream, audit_event
from domain.clock import SystemClock
from domain.ids import UserId
from domain.scope import AccessScope
from infra.jobs.retention import Retention
from infra.postgres.repositories.events import EventKeeping
from tests.harness.jobs import a_job, enqueue, transactions
from tests.harness.postgres import Database
from tests.harness.rows import connected

pytestmark = pytest.mark.postgres

MANY = 600
"""More than one batch."""


async def _tell(database: Database, retention: timedelta, number: int) -> None:
    async with transactions(database.dsn, EventKeeping(retention=retention)) as begin:
        for _ in range(2):
            scope = AccessScope(tenant_id=a_job().tenant_id, user_id=UserId(a_job().event_id))
            now = SystemClock().now()
            events = (audit_event(EventType.CHAT_CREATED, scope, Actor.behind(scope), now) for _ in range(number))
            async with begin(scope) as tx:
                await tx.events.add(*events)


async def test_expired_events_of_every_tenant_are_forgotten(database: Database) -> None:
    await _tell(database, timedelta(seconds=-1), MANY // 2)
    await _tell(database, timedelta(days=1), 1)
    await Retention(database.dsn, timedelta(days=1)).forget()
    async with connected(database.superuser_dsn) as connection:
        left = await connection.fetch("SELECT expires_at > now() AS fresh FROM mini_chat.audit_events")
    assert [row["fresh"] for row in left] == [True, True]


async def test_the_log_of_a_job_goes_when_the_job_has_gone(database: Database) -> None:
    async with transactions(database.dsn, EventKeeping(exported=frozenset(Stream))) as begin:
        await enqueue(begin, a_job(), a_job())
    async with connected(database.superuser_dsn) as connection:
        await connection.execute("UPDATE mini_chat.job_log SET created = now() - interval '1 hour'")
        await connection.execute("DELETE FROM mini_chat.jobs WHERE id = (SELECT min(id) FROM mini_chat.jobs)")
        await Retention(database.dsn, timedelta(days=1)).forget()
        assert await connection.fetchval("SELECT count(*) FROM mini_chat.job_log") == 2
        await Retention(database.dsn, timedelta(minutes=1)).forget()
        left = await connection.fetch("SELECT job_id FROM mini_chat.job_log")
        assert left == await connection.fetch("SELECT id FROM mini_chat.jobs")

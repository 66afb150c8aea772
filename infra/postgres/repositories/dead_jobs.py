"""Dead letters, seen by the one role that sees jobs: the transaction becomes it for these statements."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.types import JobId
from sqlalchemy import (
    BigInteger,
    ColumnElement,
    DateTime,
    Integer,
    Row,
    Text,
    Uuid,
    cast,
    column,
    literal_column,
    select,
    table,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import TenantId
from domain.operations.listing import DEAD_JOB_LIST
from domain.operations.models import DeadJob, DeadLetters, QueueState
from domain.pagination import Page, PageQuery
from infra.postgres.connection_pool import driver_of
from infra.postgres.job_tables import ENVIRONMENT, QUEUE, SCHEDULER
from infra.postgres.list_columns import ListColumns
from infra.postgres.orm.base import SCHEMA
from infra.postgres.repositories.jobs import TENANT_HEADER
from infra.postgres.sql_list import SqlList

_JOBS: Final = table(
    "jobs",
    column("id", BigInteger),
    column("entrypoint", Text),
    column("headers", JSONB),
    column("attempts", Integer),
    column("created", DateTime(timezone=True)),
    column("updated", DateTime(timezone=True)),
    column("status", Text),
    schema=SCHEMA,
)
_LOG: Final = table(
    "job_log",
    column("id", BigInteger),
    column("job_id", BigInteger),
    column("status", Text),
    column("traceback", JSONB),
    schema=SCHEMA,
)
_DEAD: Final[ColumnElement[str]] = literal_column("'failed'::mini_chat.job_status")
_IS_DEAD: Final = _JOBS.c.status == _DEAD
_TENANT: Final = cast(_JOBS.c.headers[TENANT_HEADER].astext, Uuid())
_ERROR_CODE: Final = (
    select(_LOG.c.traceback["exception_message"].astext)
    .where(_LOG.c.job_id == _JOBS.c.id, _LOG.c.status == _DEAD)
    .order_by(_LOG.c.id.desc())
    .limit(1)
    .scalar_subquery()
)
_MEMBERS: Final = (
    _JOBS.c.id,
    _JOBS.c.entrypoint.label("queue"),
    _TENANT.label("tenant_id"),
    _JOBS.c.attempts,
    _ERROR_CODE.label("error_code"),
    _JOBS.c.created.label("created_at"),
    _JOBS.c.updated.label("died_at"),
)
_QUEUES: Final = text("""
    SELECT entrypoint AS queue,
        count(*) FILTER (WHERE status = 'queued') AS waiting,
        count(*) FILTER (WHERE status = 'picked') AS running,
        count(*) FILTER (WHERE status = 'failed') AS dead,
        min(created) FILTER (WHERE status = 'queued') AS oldest_waiting_at,
        min(updated) FILTER (WHERE status = 'failed') AS oldest_dead_at
    FROM mini_chat.jobs GROUP BY entrypoint
""")
_DEAD_BY_QUEUE: Final = text("""
    SELECT entrypoint AS queue, count(*) AS dead, min(updated) AS oldest_dead_at
    FROM mini_chat.jobs WHERE status = 'failed' GROUP BY entrypoint
""")

_UNKEYED: Final = text("UPDATE mini_chat.jobs SET dedupe_key = NULL WHERE id = ANY (CAST(:ids AS bigint[]))")


class PostgresDeadJobs:
    """Fills the port DeadJobs."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def page(self, query: PageQuery) -> Page[DeadJob]:
        async with self._as_worker():
            return await _LIST.page(self._connection, _IS_DEAD, query)

    async def redrive(self, job_id: int) -> DeadJob | None:
        dead = select(*_MEMBERS).where(_IS_DEAD, _JOBS.c.id == job_id).with_for_update(of=_JOBS)
        async with self._as_worker():
            row = (await self._connection.execute(dead)).one_or_none()
            if row is None:
                return None
            await self._requeue([JobId(job_id)])
        return _dead_job(row)

    async def redrive_some(self, queue: str, at_most: int) -> int:
        dead = (
            select(_JOBS.c.id)
            .where(_IS_DEAD, _JOBS.c.entrypoint == queue)
            .order_by(_JOBS.c.id)
            .limit(at_most)
            .with_for_update(skip_locked=True)
        )
        async with self._as_worker():
            ids = [JobId(id_) for id_ in (await self._connection.scalars(dead)).all()]
            if ids:
                await self._requeue(ids)
        return len(ids)

    async def queues(self) -> Sequence[QueueState]:
        async with self._as_worker():
            rows = (await self._connection.execute(_QUEUES)).all()
        return [
            QueueState(
                queue=row.queue,
                waiting=row.waiting,
                running=row.running,
                dead=row.dead,
                oldest_waiting_at=row.oldest_waiting_at,
                oldest_dead_at=row.oldest_dead_at,
            )
            for row in rows
        ]

    async def dead(self) -> Sequence[DeadLetters]:
        async with self._as_worker():
            rows = (await self._connection.execute(_DEAD_BY_QUEUE)).all()
        return [DeadLetters(queue=row.queue, count=row.dead, oldest_at=row.oldest_dead_at) for row in rows]

    async def _requeue(self, ids: list[JobId]) -> None:
        """Under no key: by now another job may have it, and several of these may have shared it."""
        await self._connection.execute(_UNKEYED, {"ids": ids})
        driver = AsyncpgDriver(driver_of(self._connection))
        await Queries(driver, ENVIRONMENT, QUEUE, SCHEDULER).requeue_jobs(ids)

    @asynccontextmanager
    async def _as_worker(self) -> AsyncIterator[None]:
        """An error leaves the transaction, and the role with it."""
        await self._connection.execute(text("SET LOCAL ROLE mini_chat_ops"))
        yield
        await self._connection.execute(text("SET LOCAL ROLE NONE"))


def _dead_job(row: Row[*tuple[Any, ...]]) -> DeadJob:
    return DeadJob(
        id=row.id,
        queue=row.queue,
        tenant_id=TenantId(row.tenant_id),
        attempts=row.attempts,
        error_code=row.error_code,
        created_at=row.created_at,
        died_at=row.died_at,
    )


_LIST: Final = SqlList[DeadJob](
    columns=ListColumns(
        DEAD_JOB_LIST,
        {
            "id": _JOBS.c.id,
            "queue": _JOBS.c.entrypoint,
            "tenant_id": _TENANT,
            "attempts": _JOBS.c.attempts,
            "error_code": _ERROR_CODE,
            "created_at": _JOBS.c.created,
            "died_at": _JOBS.c.updated,
        },
    ),
    members=_MEMBERS,
    item_of=_dead_job,
    stand_ins={"error_code": literal_column("NULL::text")},
)

"""The job engine over a real database: jobs put in through a unit of work, done by runners that a test starts."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

from domain.ids import EventId, TenantId, UserId
from domain.jobs.payloads import QUEUES, ExportAudit, Job
from domain.jobs.retries import Retries
from domain.scope import AccessScope
from domain.telemetry.ports import SilentTelemetry, Telemetry
from infra.jobs.handling import Handle, Work
from infra.jobs.runner import JobRunner, RunnerLimits, Tick
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.repositories.events import EventKeeping
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork

NOTHING_EXPORTED = EventKeeping()
QUICK = RunnerLimits(
    poll=timedelta(milliseconds=20), lease=timedelta(milliseconds=400), drain=timedelta(milliseconds=300)
)
THRICE = Retries(attempts=3, base=timedelta(milliseconds=10), longest=timedelta(milliseconds=40))


@asynccontextmanager
async def transactions(dsn: str, keeping: EventKeeping = NOTHING_EXPORTED) -> AsyncIterator[PostgresUnitOfWork]:
    limits = PoolLimits(size=2, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))
    pools = create_pools(dsn, limits, application_name="tests")
    try:
        yield PostgresUnitOfWork(pools.requests, TransactionLimits(), keeping)
    finally:
        await pools.dispose()


def a_job(tenant: TenantId | None = None) -> ExportAudit:
    return ExportAudit(tenant_id=tenant or TenantId(uuid4()), event_id=EventId(uuid4()))


async def enqueue(begin: PostgresUnitOfWork, *jobs: Job) -> None:
    for tenant in {job.tenant_id for job in jobs}:
        async with begin(AccessScope(tenant_id=tenant, user_id=UserId(uuid4()))) as tx:
            await tx.jobs.enqueue(*(job for job in jobs if job.tenant_id == tenant))


def runner(
    dsn: str,
    handle: Handle,
    *ticks: Tick,
    limits: RunnerLimits = QUICK,
    retries: Retries = THRICE,
    deadline: timedelta = timedelta(seconds=5),
    telemetry: Telemetry = SilentTelemetry(),  # noqa: B008 - it has no state
    give_up: Handle | None = None,
) -> JobRunner:
    """Treats all queues alike."""
    work = Work(handle=handle, retries=retries, deadline=deadline, give_up=give_up)
    return JobRunner(dsn, limits, dict.fromkeys(QUEUES, work), ticks, telemetry)

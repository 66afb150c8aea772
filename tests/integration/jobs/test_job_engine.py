"""What jobs promise (engine.md 9, reliability.md I-50 to I-55), on a real database."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from itertools import pairwise
from uuid import uuid4

import anyio
import asyncpg
import pytest
from msgspec.structs import replace
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain.types import QueueEntrypoint, QueueManagerId
from pgqueuer.ports.repository import EntrypointExecutionParameter

from domain.ids import EventId, UserId
from domain.jobs.payloads import ExportAudit, Job
from domain.jobs.retries import JobFailed
from domain.scope import AccessScope
from domain.telemetry.correlation import current_trace
from domain.telemetry.ports import Counted
from infra.jobs.engine_tables import JobTables
from infra.jobs.runner import Tick
from infra.postgres.job_tables import ENVIRONMENT, QUEUE, SCHEDULER
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.eventually import eventually, until
from tests.harness.jobs import QUICK, THRICE, a_job, enqueue, runner, transactions
from tests.harness.postgres import Database
from tests.harness.rows import connected

pytestmark = pytest.mark.postgres


@pytest.fixture
async def begin(database: Database) -> AsyncIterator[PostgresUnitOfWork]:
    async with transactions(database.dsn) as begin:
        yield begin


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with connected(database.superuser_dsn) as connection:
        yield connection


async def states(admin: asyncpg.Connection) -> dict[str, int]:
    """How many jobs there are in each state, of those that are left."""
    return dict(await admin.fetch("SELECT status::text, count(*) FROM mini_chat.jobs GROUP BY status"))


async def codes(admin: asyncpg.Connection) -> list[str]:
    rows = await admin.fetch("SELECT traceback ->> 'exception_message' AS code FROM mini_chat.job_log ORDER BY id")
    return [row["code"] for row in rows if row["code"]]


class Done:
    """Counts what was handled; `hindrance` is raised at every attempt."""

    def __init__(self, hindrance: Exception | None = None) -> None:
        self.events: Counter[EventId] = Counter()
        self._hindrance = hindrance

    async def handle(self, job: Job) -> None:
        assert isinstance(job, ExportAudit)
        self.events[job.event_id] += 1
        if self._hindrance is not None:
            raise self._hindrance


async def test_the_tables_are_those_the_installed_engine_asks_for(admin: asyncpg.Connection) -> None:
    """But for its trigger, which would send a NOTIFY in every transaction that leaves a job behind."""
    plan = await Queries(AsyncpgDriver(admin), ENVIRONMENT, QUEUE, SCHEDULER).plan_upgrade()
    left_out = [statement.split("(")[0].split("\n")[0] for statement in plan.statements]
    assert left_out == ["CREATE FUNCTION mini_chat.notify_jobs_changed", "CREATE TRIGGER tg_jobs_changed"]
    assert plan.notes == ()


async def test_a_job_exists_if_and_when_its_transaction_commits(
    begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    scope = AccessScope(tenant_id=a_job().tenant_id, user_id=UserId(a_job().event_id))
    with suppress(ZeroDivisionError):
        async with begin(scope) as tx:
            await tx.jobs.enqueue(a_job(scope.tenant_id))
            raise ZeroDivisionError
    assert await states(admin) == {}
    async with begin(scope) as tx:
        await tx.jobs.enqueue(a_job(scope.tenant_id), a_job(scope.tenant_id))
        assert await states(admin) == {}
    assert await states(admin) == {"queued": 2}


async def test_three_workers_do_each_job_once(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    jobs = [a_job() for _ in range(40)]
    done = Done()
    async with AsyncExitStack() as workers:
        for _ in range(3):
            await workers.enter_async_context(runner(database.dsn, done.handle).running())
        await enqueue(begin, *jobs)
        await until(lambda: len(done.events) == len(jobs))
        await eventually(lambda: _empty(admin))
    assert done.events == Counter(job.event_id for job in jobs)


async def _empty(admin: asyncpg.Connection) -> bool:
    return not await states(admin)


async def test_how_late_a_job_was_begun_is_measured_at_each_attempt(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    telemetry, done = CountingTelemetry(), Done()
    await enqueue(begin, a_job())
    await admin.execute("UPDATE mini_chat.jobs SET execute_after = now() - interval '90 seconds'")
    async with runner(database.dsn, done.handle, telemetry=telemetry).running():
        await eventually(lambda: _empty(admin))
    ((key, lags),) = telemetry.measured.items()
    assert key == ("jobs_lag_seconds", "audit_export")
    assert [90 <= lag < 120 for lag in lags] == [True]


async def test_whatever_a_job_does_belongs_to_one_trace(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    traces: list[str] = []

    async def handle(_: Job) -> None:
        traces.extend(current_trace().trace_id for _ in range(2))

    await enqueue(begin, a_job(), a_job())
    async with runner(database.dsn, handle).running():
        await eventually(lambda: _empty(admin))
    assert sorted(Counter(traces).values()) == [2, 2]


async def test_a_job_that_always_fails_is_tried_as_often_as_allowed_and_then_kept(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    done = Done(JobFailed("sink_busy"))
    await enqueue(begin, a_job())
    async with runner(database.dsn, done.handle).running():
        await eventually(lambda: _is_dead(admin))
    assert done.events.total() == 3
    assert await codes(admin) == ["sink_busy", "sink_busy", "sink_busy"]


async def test_work_that_can_do_without_its_job_gives_up_after_the_last_attempt(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    done, given_up, telemetry = Done(JobFailed("sink_busy")), Done(), CountingTelemetry()
    await enqueue(begin, a_job())
    async with runner(database.dsn, done.handle, telemetry=telemetry, give_up=given_up.handle).running():
        await eventually(lambda: _empty(admin))
    assert (done.events.total(), given_up.events.total()) == (3, 1)
    handled = telemetry.of(Counted.JOBS_HANDLED)
    assert handled == {("audit_export", "retried"): 2, ("audit_export", "given_up"): 1}


async def test_a_job_that_killed_its_workers_can_be_given_up_too(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    await enqueue(begin, a_job())
    await admin.execute("UPDATE mini_chat.jobs SET attempts = 3")
    done, given_up = Done(), Done()
    async with runner(database.dsn, done.handle, give_up=given_up.handle).running():
        await eventually(lambda: _empty(admin))
    assert (done.events.total(), given_up.events.total()) == (0, 1)


async def test_a_job_that_cannot_even_be_given_up_is_a_dead_letter(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    done, given_up = Done(JobFailed("sink_busy", permanent=True)), Done(ValueError("CNRY-secret"))
    await enqueue(begin, a_job())
    async with runner(database.dsn, done.handle, give_up=given_up.handle).running():
        await eventually(lambda: _is_dead(admin))
    assert await codes(admin) == ["sink_busy"]


async def _is_dead(admin: asyncpg.Connection) -> bool:
    return await states(admin) == {"failed": 1}


@pytest.mark.parametrize(
    ("hindrance", "attempts", "code"),
    [
        (JobFailed("sink_refused", permanent=True), 1, "sink_refused"),
        (ValueError("CNRY-secret"), 3, "internal_error"),
    ],
)
async def test_what_operators_see_of_a_failure_is_a_code(
    database: Database,
    begin: PostgresUnitOfWork,
    admin: asyncpg.Connection,
    hindrance: Exception,
    attempts: int,
    code: str,
) -> None:
    done = Done(hindrance)
    await enqueue(begin, a_job())
    async with runner(database.dsn, done.handle).running():
        await eventually(lambda: _is_dead(admin))
    assert done.events.total() == attempts
    assert await codes(admin) == [code] * attempts
    assert "CNRY-secret" not in str(await admin.fetch("SELECT traceback FROM mini_chat.job_log"))


async def test_a_job_that_kills_its_worker_ends_as_a_dead_letter(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    """Each worker that was lost with it counts as an attempt."""
    await enqueue(begin, a_job())
    done = Done()
    for _ in range(3):
        await admin.execute(_PICKED_BY_ONE_THAT_DIED)
    assert await admin.fetchval("SELECT attempts FROM mini_chat.jobs") == 2
    async with runner(database.dsn, done.handle).running():
        await eventually(lambda: _is_dead(admin))
    assert done.events.total() == 0
    assert await codes(admin) == ["worker_lost"]


_PICKED_BY_ONE_THAT_DIED = """
    UPDATE mini_chat.jobs
    SET status = 'picked', queue_manager_id = gen_random_uuid(), updated = clock_timestamp(),
        heartbeat = now() - interval '1 hour'
"""


async def test_what_still_runs_at_the_deadline_of_a_drain_is_given_back_and_not_counted(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    started = anyio.Event()

    async def hang(_: Job) -> None:
        started.set()
        await anyio.sleep_forever()

    await enqueue(begin, a_job())
    async with runner(database.dsn, hang, deadline=timedelta(minutes=1)).running():
        await started.wait()
    assert dict(*await admin.fetch("SELECT status::text, attempts FROM mini_chat.jobs")) == {
        "status": "queued",
        "attempts": 0,
    }


async def test_a_job_that_cannot_be_interrupted_is_left_to_another_worker(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    """The worker goes without it."""
    attempts: list[Job] = []

    async def cling(job: Job) -> None:
        attempts.append(job)
        if len(attempts) == 1:
            with anyio.CancelScope(shield=True):
                await anyio.sleep_forever()

    await enqueue(begin, a_job())
    async with runner(database.dsn, cling, deadline=timedelta(minutes=1)).running():
        await until(lambda: len(attempts) == 1)
    assert await states(admin) == {"picked": 1}
    async with runner(database.dsn, cling).running():
        await eventually(lambda: _empty(admin))
    assert len(attempts) == 2


async def test_an_interruption_is_not_the_end_of_a_job(begin: PostgresUnitOfWork, admin: asyncpg.Connection) -> None:
    """The engine would delete it."""
    await enqueue(begin, a_job())
    tables = JobTables(AsyncpgDriver(admin))
    (picked,) = await tables.dequeue(
        1,
        {QueueEntrypoint("audit_export"): EntrypointExecutionParameter(concurrency_limit=0)},
        QueueManagerId(uuid4()),
        None,
        QUICK.lease,
    )
    await tables.log_jobs([(picked, "canceled", None)])
    assert await states(admin) == {"picked": 1}


async def test_a_worker_that_comes_back_late_changes_nothing(
    begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    await enqueue(begin, a_job())
    tables = JobTables(AsyncpgDriver(admin))
    queues = {QueueEntrypoint("audit_export"): EntrypointExecutionParameter(concurrency_limit=0)}
    (late,) = await tables.dequeue(1, queues, QueueManagerId(uuid4()), None, QUICK.lease)
    await admin.execute("UPDATE mini_chat.jobs SET heartbeat = now() - interval '1 hour'")
    (again,) = await tables.dequeue(1, queues, QueueManagerId(uuid4()), None, QUICK.lease)
    assert (again.id, again.attempts) == (late.id, 1)
    await tables.retry_job(late, timedelta(0), None)
    assert await states(admin) == {"picked": 1}


async def test_a_tenant_whose_jobs_hang_holds_up_nobody_else(database: Database, begin: PostgresUnitOfWork) -> None:
    stuck, others = a_job().tenant_id, [a_job() for _ in range(20)]
    running, most, done = 0, 0, Done()

    async def handle(job: Job) -> None:
        nonlocal running, most
        if job.tenant_id != stuck:
            await done.handle(job)
            return
        running += 1
        most = max(most, running)
        try:
            await anyio.sleep_forever()
        finally:
            running -= 1

    await enqueue(begin, *(a_job(stuck) for _ in range(300)))
    await enqueue(begin, *others)
    limits = replace(QUICK, lease=timedelta(seconds=30))
    async with runner(database.dsn, handle, limits=limits, deadline=timedelta(minutes=1)).running():
        with anyio.fail_after(3):
            await until(lambda: len(done.events) == len(others))
    assert most == limits.per_tenant


async def test_a_worker_lives_through_the_loss_of_its_connection(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    done = Done()
    async with runner(database.dsn, done.handle).running():
        await enqueue(begin, a_job())
        await until(lambda: done.events.total() == 1)
        await admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mini-chat jobs'"
        )
        await enqueue(begin, a_job())
        await until(lambda: len(done.events) == 2, within_s=10)


@pytest.mark.timeout(40)
async def test_a_tick_is_taken_by_one_of_three(database: Database) -> None:
    ticks: list[float] = []

    async def note() -> None:
        ticks.append(anyio.current_time())

    async with AsyncExitStack() as workers:
        for _ in range(3):
            tick = Tick(name="each_two_seconds", cron="* * * * * */2", work=note)
            await workers.enter_async_context(runner(database.dsn, Done().handle, tick).running())
        await until(lambda: len(ticks) >= 2, within_s=25)
    assert all(later - earlier > 0.5 for earlier, later in pairwise(ticks)), ticks


async def test_who_serves_can_neither_see_nor_end_jobs(database: Database) -> None:
    async with connected(database.dsn) as service:
        for forbidden in (
            "SELECT payload FROM mini_chat.jobs",
            "UPDATE mini_chat.jobs SET status = 'failed'",
            "DELETE FROM mini_chat.jobs",
            "SELECT * FROM mini_chat.job_log",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(forbidden)


REFUSING_ONCE = """
    CREATE SEQUENCE public.refusals;
    GRANT USAGE ON SEQUENCE public.refusals TO PUBLIC;
    CREATE FUNCTION public.refuse_once() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF nextval('public.refusals') = 1 THEN RAISE EXCEPTION 'not now' USING ERRCODE = '57014'; END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER tg_refuse_once BEFORE UPDATE ON mini_chat.jobs FOR EACH ROW
        WHEN (OLD.status = 'picked' AND NEW.status = 'queued') EXECUTE FUNCTION public.refuse_once()
"""


async def test_a_retry_that_cannot_be_written_down_buries_no_job(
    database: Database, begin: PostgresUnitOfWork, admin: asyncpg.Connection
) -> None:
    await admin.execute(REFUSING_ONCE)
    done = Done(JobFailed("sink_unavailable"))
    async with runner(database.dsn, done.handle).running():
        await enqueue(begin, a_job())
        await eventually(lambda: _all_dead(admin))
    assert done.events.total() == THRICE.attempts
    assert (await codes(admin))[-1] == "sink_unavailable"


async def _all_dead(admin: asyncpg.Connection) -> bool:
    return await states(admin) == {"failed": 1}

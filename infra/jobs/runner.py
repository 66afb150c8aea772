"""Does jobs in this process, together with any number of others (engine.md 9). The engine is PgQueuer.

stop ─▶ nothing new is picked ─▶ what runs may finish ─▶ the rest is given back ─▶ connection closed

A process that is killed does none of this: its jobs go to others when their heartbeat has stopped for `lease`.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from typing import Final

import anyio
import asyncpg
import msgspec
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.core.executors import AbstractScheduleExecutor, ScheduleExecutorFactoryParameters
from pgqueuer.core.qm import QueueManager
from pgqueuer.core.sm import SchedulerManager
from pgqueuer.domain.models import Schedule, ScheduleContext
from typing_extensions import override

from domain.telemetry.ports import Telemetry
from infra.jobs.engine_tables import JobTables
from infra.jobs.handling import Attempting, Attempts, Work
from infra.jobs.lanes import TenantLanes
from infra.postgres.dsn import driver_dsn
from infra.postgres.job_tables import JOB_TABLES

_log = logging.getLogger(__name__)

WORKER_ROLE: Final = "mini_chat_ops"
"""The only role that takes and ends jobs; the login may become it, and this connection is it from the start."""

_LAST_WORDS_S: Final = 2.0
"""For what was given back to be written down."""

_RECONNECT_S: Final = 1.0
_ENGINE_TALKS_FROM: Final = logging.WARNING


class RunnerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """`lease`: how long a lost worker's jobs wait for another. `drain`: how long running ones may take to finish."""

    batch: int = 32
    per_tenant: int = 4
    poll: timedelta = timedelta(milliseconds=500)
    lease: timedelta = timedelta(seconds=60)
    drain: timedelta = timedelta(seconds=10)
    statement: timedelta = timedelta(seconds=3)


class Tick(msgspec.Struct, frozen=True, kw_only=True):
    """Work done at the times of a cron expression, by one process of all; twice does no harm."""

    name: str
    cron: str
    work: Callable[[], Awaitable[None]]


class JobRunner:
    def __init__(
        self,
        address: str,
        limits: RunnerLimits,
        work: Mapping[str, Work],
        ticks: tuple[Tick, ...],
        telemetry: Telemetry,
    ) -> None:
        """`address` is that of the runtime's login."""
        self._address = address
        self._limits = limits
        self._work = work
        self._ticks = ticks
        self._telemetry = telemetry
        self._stopping = asyncio.Event()
        self._stop_engine: Callable[[], None] = _nothing

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Jobs are done inside. On leaving, what still runs is finished or given back within `drain`."""
        attempts = Attempts()
        # A task of asyncio's own: cancelled from above, the engine would drop what it holds.
        worker = asyncio.create_task(self._keep_working(attempts), name="jobs")
        try:
            yield
        finally:
            with anyio.CancelScope(shield=True):
                await self._stop(worker, attempts)

    async def _stop(self, worker: "asyncio.Task[None]", attempts: Attempts) -> None:
        self._stopping.set()
        self._stop_engine()
        await asyncio.wait({worker}, timeout=self._limits.drain.total_seconds())
        attempts.give_back()
        await asyncio.wait({worker}, timeout=_LAST_WORDS_S)
        worker.cancel()
        with suppress(asyncio.CancelledError):
            await worker

    async def _keep_working(self, attempts: Attempts) -> None:
        """Through every loss of the connection."""
        logging.getLogger("pgqueuer").setLevel(_ENGINE_TALKS_FROM)
        while not self._stopping.is_set():
            try:
                await self._work_on_one_connection(attempts)
            except Exception as fault:
                _log.warning("job_worker_interrupted", extra={"fault": type(fault).__name__})
            pause = _RECONNECT_S * random.uniform(0.5, 1.0)  # noqa: S311 - jitter, not a secret
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause)

    async def _work_on_one_connection(self, attempts: Attempts) -> None:
        patience_s = self._limits.statement.total_seconds()
        async with asyncio.timeout(patience_s):
            connection = await asyncpg.connect(
                driver_dsn(self._address),
                command_timeout=patience_s + 1,
                server_settings={
                    "application_name": "mini-chat jobs",
                    "role": WORKER_ROLE,
                    "statement_timeout": str(int(patience_s * 1000)),
                },
            )
        try:
            await self._engine(JobTables(AsyncpgDriver(connection)), attempts)
        finally:
            connection.terminate()

    async def _engine(self, tables: JobTables, attempts: Attempts) -> None:
        """Returns when told to stop; raises what the engine or the connection died of."""
        queues = QueueManager(tables, channel=JOB_TABLES.channel)
        schedules = SchedulerManager(tables)
        lanes = TenantLanes(self._limits.per_tenant)
        for queue, work in self._work.items():
            queues.register_executor(queue, Attempting(queue, work, tables, lanes, attempts, self._telemetry))
        for tick in self._ticks:
            schedules.schedule(tick.name, tick.cron, executor_factory=_ticking(tick))(_unused)

        def stop() -> None:
            queues.shutdown.set()
            schedules.shutdown.set()

        self._stop_engine = stop
        if self._stopping.is_set():
            stop()
        both = (asyncio.create_task(self._take_jobs(queues)), asyncio.create_task(schedules.run()))
        # Whichever dies first, for instance with the connection, stops the other.
        for task in both:
            task.add_done_callback(lambda _: stop())
        try:
            done, _ = await asyncio.wait(both)
        finally:
            for task in both:
                task.cancel()
        for task in done:
            task.result()

    async def _take_jobs(self, queues: QueueManager) -> None:
        await queues.run(
            dequeue_timeout=self._limits.poll,
            batch_size=self._limits.batch,
            max_concurrent_tasks=2 * self._limits.batch,
            shutdown_on_listener_failure=True,
            heartbeat_timeout=self._limits.lease,
            # Nobody reads the statistics that it would make of the log.
            log_aggregation_interval=timedelta(0),
        )


class _Ticking(AbstractScheduleExecutor):
    def __init__(self, parameters: ScheduleExecutorFactoryParameters, tick: Tick) -> None:
        super().__init__(parameters)
        self._tick = tick

    @override
    async def execute(self, schedule: Schedule, context: ScheduleContext) -> None:
        try:
            await self._tick.work()
        except Exception:
            _log.exception("tick_failed", extra={"tick": self._tick.name})


def _ticking(tick: Tick) -> Callable[[ScheduleExecutorFactoryParameters], AbstractScheduleExecutor]:
    return lambda parameters: _Ticking(parameters, tick)


async def _unused(_schedule: Schedule) -> None:
    """The engine wants a function beside the executor that takes its place."""


def _nothing() -> None:
    """No engine runs yet."""

"""One attempt at one job: may it start, how long may it take, and what becomes of it when it fails."""

import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio
import msgspec
from pgqueuer.core.executors import AbstractEntrypointExecutor, EntrypointExecutorParameters
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.domain.models import Context
from pgqueuer.domain.models import Job as PickedJob
from typing_extensions import override

from domain.errors import ServiceUnavailable
from domain.jobs.payloads import Job
from domain.jobs.retries import JobFailed, Retries
from domain.telemetry.correlation import Correlation, correlated
from domain.telemetry.ports import Counted, Measured, SpanName, Telemetry
from domain.telemetry.trace_context import new_trace
from infra.jobs.engine_tables import JobTables
from infra.jobs.lanes import LaneFull, TenantLanes

_log = logging.getLogger(__name__)
_decoder = msgspec.json.Decoder(Job)

Handle = Callable[[Job], Awaitable[None]]


class DeadLetter(Exception):
    """No further attempt is made; the text is the code that operators see."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What is done with the jobs of one queue, within `deadline` each.

    `give_up` is done instead of a dead letter where the work can do without its job.
    """

    handle: Handle
    retries: Retries
    deadline: timedelta
    give_up: Handle | None = None


class Attempts:
    """All attempts that run in this process; `give_back` ends them."""

    def __init__(self) -> None:
        self._scopes: set[anyio.CancelScope] = set()
        self.are_over = False

    def begin(self) -> anyio.CancelScope:
        scope = anyio.CancelScope()
        self._scopes.add(scope)
        if self.are_over:
            scope.cancel()
        return scope

    def end(self, scope: anyio.CancelScope) -> None:
        self._scopes.discard(scope)

    def give_back(self) -> None:
        """Whoever comes next does them."""
        self.are_over = True
        for scope in self._scopes:
            scope.cancel()


class Attempting(AbstractEntrypointExecutor):
    """Tells the engine what to do with a job in the engine's own exceptions: RetryRequested, or any other for dead."""

    def __init__(
        self, queue: str, work: Work, tables: JobTables, lanes: TenantLanes, attempts: Attempts, telemetry: Telemetry
    ) -> None:
        super().__init__(
            EntrypointExecutorParameters(concurrency_limit=0, func=_unused, accepts_context=True, on_failure="hold")
        )
        self._queue = queue
        self._work = work
        self._tables = tables
        self._lanes = lanes
        self._attempts = attempts
        self._telemetry = telemetry

    @override
    async def execute(self, job: PickedJob, context: Context) -> None:
        if self._work.retries.spent(job.attempts):
            await self._end(job, "worker_lost")
            return
        scope, failed = self._attempts.begin(), None
        try:
            with scope:
                failed = await self._traced(job)
        finally:
            self._attempts.end(scope)
        if scope.cancelled_caught:
            self._give_back(job, timedelta(0))
        if failed is None:
            self._count("done")
        else:
            await self._fail(job, failed)

    async def _traced(self, job: PickedJob) -> JobFailed | None:
        """Whatever the job does and logs belongs to one trace."""
        with self._telemetry.span(SpanName.JOB, new_trace(), queue=self._queue) as span:
            with correlated(Correlation(request_id=f"job-{job.id}", trace=span.trace)):
                failed = await self._attempt(job)
            if failed is not None:
                span.failed(failed.code)
        return failed

    async def _attempt(self, picked: PickedJob) -> JobFailed | None:
        try:
            job = _decoder.decode(picked.payload or b"")
            async with self._lanes.entered(job.tenant_id):
                lag_s = (picked.updated - picked.execute_after).total_seconds()
                self._telemetry.measure(Measured.JOBS_LAG, lag_s, queue=self._queue)
                with anyio.fail_after(self._work.deadline.total_seconds()):
                    await self._work.handle(job)
        except LaneFull as full:
            self._give_back(picked, full.pause)
        except JobFailed as failed:
            return failed
        except msgspec.DecodeError:
            return JobFailed("unknown_payload")
        except TimeoutError:
            return JobFailed("timed_out")
        except ServiceUnavailable as fault:
            return JobFailed(fault.code, retry_after=fault.retry_after)
        except Exception:
            _log.exception("job_failed_unexpectedly", extra={"queue": self._queue, "job_id": int(picked.id)})
            return JobFailed("internal_error")
        return None

    async def _fail(self, job: PickedJob, failed: JobFailed) -> None:
        retries = self._work.retries
        if failed.permanent or retries.spent(job.attempts + 1):
            await self._end(job, failed.code)
            return
        self._count("retried")
        pause = retries.pause(job.attempts, random.random(), failed.retry_after)  # noqa: S311 - jitter, not a secret
        raise RetryRequested(pause, failed.code) from None

    async def _end(self, job: PickedJob, code: str) -> None:
        if self._work.give_up is None or not await self._gave_up(job, self._work.give_up):
            self._bury(job, code)
        self._count("given_up")
        _log.warning("job_given_up", extra={"queue": self._queue, "job_id": int(job.id), "error_code": code})

    async def _gave_up(self, job: PickedJob, give_up: Handle) -> bool:
        try:
            with anyio.fail_after(self._work.deadline.total_seconds()):
                await give_up(_decoder.decode(job.payload or b""))
        except Exception:
            _log.exception("job_not_given_up", extra={"queue": self._queue, "job_id": int(job.id)})
            return False
        return True

    def _bury(self, job: PickedJob, code: str) -> None:
        self._count("dead")
        _log.error("job_dead", extra={"queue": self._queue, "job_id": int(job.id), "error_code": code})
        raise DeadLetter(code) from None

    def _give_back(self, job: PickedJob, pause: timedelta) -> None:
        self._tables.given_back.add(job.id)
        raise RetryRequested(pause) from None

    def _count(self, result: str) -> None:
        self._telemetry.count(Counted.JOBS_HANDLED, queue=self._queue, result=result)


async def _unused(_job: PickedJob, _context: Context) -> None:
    """The engine wants a function beside the executor that takes its place."""

"""Looking at dead letters and letting them go again."""

from collections.abc import Sequence
from typing import Final

from domain.audit.administration import admin_event, platform_scope
from domain.audit.events import EventType
from domain.auth.administration import on_record
from domain.auth.policy import Action, Policy
from domain.clock import Clock
from domain.errors import JobNotFound
from domain.jobs.payloads import QUEUES
from domain.operations.models import DeadJob, QueueState
from domain.operations.ports import OperationsTx
from domain.pagination import Page, PageQuery
from domain.subject import Subject
from domain.unit_of_work import Access, UnitOfWork

MOST_AT_ONCE: Final = 1_000
"""So many are let go by one call; whoever has more calls again."""


class JobAdministration:
    def __init__(self, begin: UnitOfWork[OperationsTx], policy: Policy, clock: Clock) -> None:
        self._begin = begin
        self._policy = policy
        self._clock = clock

    async def page(self, who: Subject, query: PageQuery) -> Page[DeadJob]:
        self._policy.require(who, Action.READ_JOBS)
        with on_record(who, Action.READ_JOBS, "dead"):
            async with self._begin(platform_scope(who), Access.READ) as tx:
                return await tx.dead_jobs.page(query)

    async def queues(self, who: Subject) -> Sequence[QueueState]:
        """Every queue there is, empty ones too."""
        self._policy.require(who, Action.READ_JOBS)
        with on_record(who, Action.READ_JOBS, "queues"):
            async with self._begin(platform_scope(who), Access.READ) as tx:
                found = {state.queue: state for state in await tx.dead_jobs.queues()}
        return [found.get(queue) or _empty(queue) for queue in sorted({*QUEUES, *found})]

    async def redrive(self, who: Subject, job_id: int) -> None:
        """Raises JobNotFound, for a job that is not dead as well."""
        self._policy.require(who, Action.REDRIVE_JOBS)
        with on_record(who, Action.REDRIVE_JOBS, f"job:{job_id}"):
            async with self._begin(platform_scope(who)) as tx:
                job = await tx.dead_jobs.redrive(job_id)
                if job is None:
                    raise JobNotFound
                details = {"queue": job.queue, "job_id": job.id, "job_tenant_id": job.tenant_id, "count": 1}
                await tx.events.add(admin_event(EventType.JOB_REQUEUED, who, self._clock.now(), details))

    async def redrive_queue(self, who: Subject, queue: str) -> int:
        """How many were let go, MOST_AT_ONCE at the most. Raises JobNotFound for a queue that does not exist."""
        self._policy.require(who, Action.REDRIVE_JOBS)
        with on_record(who, Action.REDRIVE_JOBS, f"queue:{queue}"):
            if queue not in QUEUES:
                raise JobNotFound
            async with self._begin(platform_scope(who)) as tx:
                count = await tx.dead_jobs.redrive_some(queue, MOST_AT_ONCE)
                details = {"queue": queue, "count": count}
                await tx.events.add(admin_event(EventType.JOB_REQUEUED, who, self._clock.now(), details))
        return count


def _empty(queue: str) -> QueueState:
    return QueueState(queue=queue, waiting=0, running=0, dead=0, oldest_waiting_at=None, oldest_dead_at=None)

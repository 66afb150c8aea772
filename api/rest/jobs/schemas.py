"""Jobs on the wire: dead letters and the state of queues."""

from typing import Self

import msgspec
from msgspec import UNSET, UnsetType

from api.rest.page_out import PageOut
from api.rest.wire_types import Id, Moment, present
from domain.clock import utc_text
from domain.operations.models import DeadJob, QueueState


class DeadJobOut(msgspec.Struct, frozen=True, kw_only=True):
    """`error_code` is left out once the log of the job has been forgotten."""

    id: int
    queue: str
    tenant_id: Id
    attempts: int
    error_code: str | UnsetType = UNSET
    created_at: Moment
    died_at: Moment

    @classmethod
    def of(cls, job: DeadJob) -> Self:
        return cls(
            id=job.id,
            queue=job.queue,
            tenant_id=str(job.tenant_id),
            attempts=job.attempts,
            error_code=present(job.error_code),
            created_at=utc_text(job.created_at),
            died_at=utc_text(job.died_at),
        )


class DeadJobPageOut(PageOut[DeadJobOut], frozen=True, kw_only=True):
    pass


class QueueOut(msgspec.Struct, frozen=True, kw_only=True):
    """`waiting` counts those whose next attempt is due later as well."""

    queue: str
    waiting: int
    running: int
    dead: int
    oldest_waiting_at: Moment | UnsetType = UNSET
    oldest_dead_at: Moment | UnsetType = UNSET

    @classmethod
    def of(cls, state: QueueState) -> Self:
        return cls(
            queue=state.queue,
            waiting=state.waiting,
            running=state.running,
            dead=state.dead,
            oldest_waiting_at=present(None if state.oldest_waiting_at is None else utc_text(state.oldest_waiting_at)),
            oldest_dead_at=present(None if state.oldest_dead_at is None else utc_text(state.oldest_dead_at)),
        )


class QueuesOut(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[QueueOut, ...]


class RedrivenOut(msgspec.Struct, frozen=True, kw_only=True):
    """How many jobs are tried again. Of a whole queue a thousand at the most: repeat the call until it is 0."""

    redriven: int

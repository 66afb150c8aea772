"""What operators need from the store of jobs. It spans tenants."""

from collections.abc import Sequence
from typing import Protocol

from domain.audit.ports import EventTx
from domain.operations.models import DeadJob, DeadLetters, QueueState
from domain.pagination import Page, PageQuery


class DeadJobs(Protocol):
    async def page(self, query: PageQuery) -> Page[DeadJob]:
        """Those that died last first. Raises InvalidCursor for keys of another kind."""
        ...

    async def redrive(self, job_id: int) -> DeadJob | None:
        """Lets it be tried again from the start, at once; None when there is no such dead job."""
        ...

    async def redrive_some(self, queue: str, at_most: int) -> int:
        """As `redrive`, the oldest first; says how many."""
        ...

    async def queues(self) -> Sequence[QueueState]:
        """Those in which there is any job."""
        ...

    async def dead(self) -> Sequence[DeadLetters]:
        """Cheap however many jobs wait."""
        ...


class OperationsTx(EventTx, Protocol):
    @property
    def dead_jobs(self) -> DeadJobs: ...

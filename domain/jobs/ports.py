"""How jobs come into being."""

from typing import Protocol

from domain.jobs.payloads import Job


class Jobs(Protocol):
    """Of one transaction: a job exists if and when it commits."""

    async def enqueue(self, *jobs: Job) -> None:
        """Each is done at least once, by whichever process comes first; one whose key is taken is not added."""
        ...


class JobTx(Protocol):
    @property
    def jobs(self) -> Jobs: ...

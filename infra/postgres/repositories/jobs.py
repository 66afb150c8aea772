"""Jobs that come into being with the transaction that wants them done."""

from typing import Final

import msgspec
from pgqueuer.adapters.drivers.asyncpg import AsyncpgDriver
from pgqueuer.adapters.persistence.queries import Queries
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.jobs.payloads import Job, key_of, queue_of
from infra.postgres.connection_pool import driver_of
from infra.postgres.job_tables import ENVIRONMENT, QUEUE, SCHEDULER

TENANT_HEADER: Final = "tenant_id"
"""Where SQL finds whose job it is."""

_PRIORITY: Final = 0
_payload = msgspec.json.Encoder()


class PostgresJobs:
    """Fills the port Jobs. The transaction has begun: BEGIN was the first thing sent on its connection."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def enqueue(self, *jobs: Job) -> None:
        """One statement."""
        driver = AsyncpgDriver(driver_of(self._connection))
        await Queries(driver, ENVIRONMENT, QUEUE, SCHEDULER).enqueue(
            [queue_of(job) for job in jobs],
            [_payload.encode(job) for job in jobs],
            [_PRIORITY] * len(jobs),
            dedupe_key=[key_of(job) for job in jobs],
            headers=[{TENANT_HEADER: str(job.tenant_id)} for job in jobs],
            on_conflict="skip",
        )

"""What the job engine does to its tables, where its own way would lose or miscount a job."""

import logging
from datetime import timedelta
from typing import Final

from pgqueuer.adapters.persistence.queries import Queries
from pgqueuer.domain import models, types
from pgqueuer.ports.driver import Driver
from typing_extensions import override

from infra.postgres.errors import DRIVER_ERRORS
from infra.postgres.job_tables import ENVIRONMENT, QUEUE, SCHEDULER

_log = logging.getLogger(__name__)

# Fenced: a worker that comes back from the dead changes nothing about a job that somebody else has picked.
_BACK: Final = """
    WITH back AS (
        UPDATE mini_chat.jobs
        SET status = 'queued', execute_after = now() + $2, attempts = attempts + $3, updated = now(),
            queue_manager_id = NULL
        WHERE id = $1 AND status = 'picked' AND queue_manager_id = $4
        RETURNING id, entrypoint, priority
    )
    INSERT INTO mini_chat.job_log (job_id, status, entrypoint, priority, traceback)
    SELECT id, 'queued', entrypoint, priority, $5::jsonb FROM back
"""


class JobTables(Queries):
    """Of one worker's connection. `given_back` are jobs that were not attempted, so that no attempt is counted."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver, ENVIRONMENT, QUEUE, SCHEDULER)
        self.given_back: set[types.JobId] = set()

    @override
    async def retry_job(
        self, job: models.Job, delay: timedelta, traceback_record: models.TracebackRecord | None
    ) -> None:
        """What cannot be written down leaves the job picked, and so to somebody else once its heartbeat has stopped.

        The engine would take the error for the job's own, and make a dead letter of it.
        """
        counted = job.id not in self.given_back
        self.given_back.discard(job.id)
        why = traceback_record.model_dump_json() if traceback_record and counted else None
        try:
            await self.driver.execute(_BACK, job.id, delay, int(counted), job.queue_manager_id, why)
        except DRIVER_ERRORS as fault:
            _log.warning("job_not_put_back", extra={"job_id": int(job.id), "fault": type(fault).__name__})

    @override
    async def log_jobs(
        self, job_status: list[tuple[models.Job, types.JOB_STATUS, models.TracebackRecord | None]]
    ) -> None:
        """A job that is interrupted stays picked, and goes to somebody else when its heartbeat has stopped.

        The engine would take the interruption for the end of it, and delete it undone.
        """
        ended = [each for each in job_status if each[1] != "canceled"]
        if ended:
            await super().log_jobs(ended)

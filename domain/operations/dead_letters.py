"""Keeps in sight what was given up, so that metrics and readiness can tell of it (engine.md 9)."""

from datetime import timedelta
from typing import Final

from domain.clock import Clock
from domain.ids import NIL_TENANT, UserId
from domain.jobs.payloads import QUEUES
from domain.operations.ports import OperationsTx
from domain.scope import AccessScope
from domain.telemetry.ports import Gauged, Telemetry
from domain.unit_of_work import Access, UnitOfWork

LOOKED_AT_EVERY: Final = timedelta(seconds=30)

_PLATFORM: Final = AccessScope(tenant_id=NIL_TENANT, user_id=UserId(NIL_TENANT))


class DeadLetterWatch:
    """`any_dead` is what was seen last; before the first look nothing is."""

    def __init__(self, begin: UnitOfWork[OperationsTx], clock: Clock, telemetry: Telemetry) -> None:
        self.any_dead = False
        self._begin = begin
        self._clock = clock
        self._telemetry = telemetry

    async def look(self) -> None:
        """Raises ServiceUnavailable; then what was seen before is still told."""
        async with self._begin(_PLATFORM, Access.READ) as tx:
            found = {dead.queue: dead for dead in await tx.dead_jobs.dead()}
        self.any_dead = bool(found)
        for queue in {*QUEUES, *found}:
            dead = found.get(queue)
            age_s = 0.0 if dead is None else (self._clock.now() - dead.oldest_at).total_seconds()
            self._telemetry.gauge(Gauged.JOBS_DEAD, 0 if dead is None else dead.count, queue=queue)
            self._telemetry.gauge(Gauged.JOBS_OLDEST_DEAD, max(age_s, 0.0), queue=queue)

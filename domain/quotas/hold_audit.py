"""Compares what is held with the turns that run, and corrects what differs (engine.md 4.10). Safe in duplicate."""

import logging
from typing import Final

from domain.audit.events import SYSTEM, EventType, NewEvent, audit_event
from domain.clock import Clock
from domain.ids import UserId
from domain.quotas.ports import HeldBucket, HeldBuckets, HoldAuditTx, HoldDifference
from domain.scope import AccessScope
from domain.telemetry.ports import Counted, Telemetry
from domain.unit_of_work import UnitOfWork

_log = logging.getLogger(__name__)

_BATCH: Final = 500


class HoldAuditor:
    def __init__(self, held: HeldBuckets, begin: UnitOfWork[HoldAuditTx], clock: Clock, telemetry: Telemetry) -> None:
        self._held = held
        self._begin = begin
        self._clock = clock
        self._telemetry = telemetry

    async def sweep(self) -> None:
        """Afterwards every bucket that was found holds what the running turns hold in it.

        Raises ServiceUnavailable; what was corrected by then stays corrected.
        """
        last: HeldBucket | None = None
        while found := await self._held.find(last, _BATCH):
            for bucket in found:
                await self._look_at(bucket)
            last = found[-1]

    async def _look_at(self, bucket: HeldBucket) -> None:
        scope = AccessScope(tenant_id=bucket.tenant_id, user_id=UserId(bucket.subject_id))
        async with self._begin(scope) as tx:
            difference = await tx.hold_audit.correct(bucket)
            if difference is not None:
                await tx.events.add(self._corrected(scope, bucket, difference))
        if difference is not None:
            self._telemetry.count(Counted.QUOTA_HOLD_MISMATCH, period=bucket.period.type)
            _log.error("hold_corrected", extra={"bucket": bucket.name.value, **_told(difference)})

    def _corrected(self, scope: AccessScope, bucket: HeldBucket, difference: HoldDifference) -> NewEvent:
        details = {
            "subject_id": bucket.subject_id,
            "bucket": bucket.name.value,
            "period": bucket.period.type.value,
            "period_start": bucket.period.start,
            **_told(difference),
        }
        return audit_event(EventType.HOLD_CORRECTED, scope, SYSTEM, self._clock.now(), details=details)


def _told(difference: HoldDifference) -> dict[str, int]:
    return {"difference_micro": difference.micro, "difference_tool_calls": difference.tool_calls}

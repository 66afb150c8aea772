"""Ends turns whose owner was lost (engine.md 2.6). Any number of processes may run it at once."""

import logging
from datetime import timedelta

from domain.ids import OwnerId
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.models import LeasedTurn, TurnResult, TurnState, UsageSource
from domain.turns.ports import Leases, TurnTx
from domain.unit_of_work import UnitOfWork

_log = logging.getLogger(__name__)

_BATCH = 100
_LAST_NUMBER = 2**31 - 1


class Reaper:
    def __init__(
        self,
        leases: Leases,
        begin: UnitOfWork[TurnTx],
        owner: OwnerId,
        lease: timedelta,
        telemetry: Telemetry,
    ) -> None:
        self._leases = leases
        self._begin = begin
        self._owner = owner
        self._lease = lease
        self._telemetry = telemetry

    async def sweep(self) -> None:
        """Every turn found expired is terminal afterwards, or left for the next round of any process.

        Raises ServiceUnavailable when the search itself fails; a turn that cannot be ended delays only itself.
        """
        for turn in await self._leases.claim_expired(self._owner, self._lease, _BATCH):
            try:
                await self._end(turn)
            except Exception:
                _log.exception("turn_not_reaped", extra={"turn_id": str(turn.turn_id)})
                self._telemetry.count(Counted.REAP_FAILED)

    async def _end(self, turn: LeasedTurn) -> None:
        async with self._begin(turn.scope) as tx:
            text = await tx.turns.saved_text(turn.turn_id)
            ended = await tx.turns.finish(turn.turn_id, turn.chat_id, turn.owner_epoch, _orphaned(turn, text))
        if ended:
            self._telemetry.count(Counted.ORPHAN_FINALIZED)
            _log.info("orphan_ended", extra={"turn_id": str(turn.turn_id)})


def _orphaned(turn: LeasedTurn, text: str) -> TurnResult:
    """Whoever asked for a cancellation gets one; everybody else learns that the server lost the turn."""
    cancelled = turn.cancel_requested
    return TurnResult(
        state=TurnState.CANCELLED if cancelled else TurnState.FAILED,
        finish=None,
        error_code=None if cancelled else "orphan_timeout",
        text=text or None,
        citations=(),
        usage_source=UsageSource.UNKNOWN,
        input_tokens=0,
        output_tokens=0,
        ttft_ms=None,
        total_ms=None,
        last_number=_LAST_NUMBER,
        retryable=not cancelled,
    )

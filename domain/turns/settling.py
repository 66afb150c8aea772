"""What is counted of a settlement once it is committed, whoever has ended the turn (engine.md 11.1)."""

import logging
from collections.abc import Sequence

from domain.quotas.periods import PeriodType
from domain.quotas.settlement import Settlement
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.models import TurnIdentity

_log = logging.getLogger(__name__)


def count_settlement(
    telemetry: Telemetry, turn: TurnIdentity, settlement: Settlement, short: Sequence[PeriodType]
) -> None:
    """`short`: the periods of the counters that held less than the turn did, each of them a fault of ours."""
    if settlement.capped:
        telemetry.count(Counted.QUOTA_CAPPED)
    elif turn.hold is not None and settlement.charged_micro > turn.hold.credits_micro:
        telemetry.count(Counted.QUOTA_OVERSHOOT)
    for period in short:
        telemetry.count(Counted.QUOTA_HOLD_MISMATCH, period=period.value)
    if short:
        _log.error("hold_was_short", extra={"turn_id": str(turn.turn_id), "counters": len(short)})

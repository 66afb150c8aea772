"""What is counted of a turn once its end is committed, whoever has ended it (engine.md 11.1)."""

import logging
from collections.abc import Sequence

from domain.quotas.periods import PeriodType
from domain.quotas.settlement import Settlement
from domain.telemetry.ports import Counted, Telemetry
from domain.tools.meter import ToolMeter
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


def count_tool_calls(telemetry: Telemetry, tools: ToolMeter) -> None:
    """`tool_call_limited` tells of the turn that its model wanted one call more than it had."""
    for phase, calls in (("start", tools.starts), ("done", tools.dones)):
        for tool in calls.elements():
            telemetry.count(Counted.TOOL_CALLS, tool=tool.value, phase=phase)
    if tools.exceeded is not None:
        telemetry.count(Counted.TOOL_CALL_LIMITED, tool=tools.exceeded.value)

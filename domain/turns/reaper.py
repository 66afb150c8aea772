"""Ends turns whose owner was lost (engine.md 2.6). Any number of processes may run it at once."""

import logging
from datetime import timedelta

from msgspec.structs import replace

from domain.catalogue.models import Estimation
from domain.clock import Clock
from domain.context.usage import NOTHING_USED, ResolvedUsage, resolve_usage
from domain.ids import OwnerId
from domain.quotas.models import QuotaRules
from domain.quotas.settlement import RELEASED, BillingOutcome, Settlement, settle
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.ending_events import events_of_ending
from domain.turns.models import LeasedTurn, Remains, TurnResult, TurnState
from domain.turns.ports import Leases, TurnTx
from domain.turns.settling import count_settlement
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
        budgets: Estimation,
        rules: QuotaRules,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._leases = leases
        self._begin = begin
        self._owner = owner
        self._lease = lease
        self._budgets = budgets
        self._rules = rules
        self._clock = clock
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
            remains = await tx.turns.remains(turn.turn_id)
            usage, settlement = self._charge(remains)
            result = _orphaned(turn, remains.text, usage, settlement)
            short = await tx.turns.finish(turn.turn_id, turn.chat_id, turn.owner_epoch, result)
            if short is not None:
                await tx.events.add(*events_of_ending(remains.turn, result, None, self._clock.now()))
        if short is not None:
            count_settlement(self._telemetry, remains.turn, settlement, short)
            self._telemetry.count(Counted.ORPHAN_FINALIZED)
            _log.info("orphan_ended", extra={"turn_id": str(turn.turn_id)})

    def _charge(self, remains: Remains) -> tuple[ResolvedUsage, Settlement]:
        """Estimated from what was saved if a provider may have been called; what it reported is lost with the owner."""
        hold = remains.turn.hold
        if hold is None:
            return NOTHING_USED, RELEASED
        usage = resolve_usage(
            None,
            called=remains.was_called,
            prompt_estimate=hold.estimated_input_tokens,
            generated_bytes=len(remains.text.encode()),
            max_output_tokens=hold.max_output_tokens,
            budgets=replace(self._budgets, generation_floor=hold.generation_floor),
        )
        tolerance_pct = self._rules.overshoot_tolerance_pct
        return usage, settle(hold, usage.source, usage.input_tokens, usage.output_tokens, tolerance_pct)


def _orphaned(turn: LeasedTurn, text: str, usage: ResolvedUsage, settlement: Settlement) -> TurnResult:
    """Whoever asked for a cancellation gets one; everybody else learns that the server lost the turn."""
    cancelled = turn.cancel_requested
    return TurnResult(
        state=TurnState.CANCELLED if cancelled else TurnState.FAILED,
        finish=None,
        error_code=None if cancelled else "orphan_timeout",
        text=text or None,
        citations=(),
        usage_source=usage.source,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        settlement=settlement,
        billing_outcome=BillingOutcome.ABORTED,
        ttft_ms=None,
        total_ms=None,
        last_number=_LAST_NUMBER,
        retryable=not cancelled,
    )

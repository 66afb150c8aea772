"""Closes the books of a turn: one commit, then the readers are told. Every ending comes through here."""

import logging
import random
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

import anyio

from domain.catalogue.models import Estimation
from domain.clock import Clock
from domain.context.usage import invalid_reason
from domain.errors import ServiceUnavailable
from domain.quotas.buckets import Holder
from domain.quotas.models import QuotaRules
from domain.quotas.warnings import QuotaLevel, levels_of
from domain.streaming.events import Done, TurnError
from domain.streaming.failures import turn_error
from domain.streaming.models import Stopped, StopReason
from domain.streaming.ports import Closing
from domain.telemetry.ports import Counted, SpanName, Telemetry
from domain.turns.ending_events import events_of_ending
from domain.turns.follow_ups import count_follow_ups, follow_ups_of
from domain.turns.models import TurnIdentity, TurnResult, TurnState
from domain.turns.outcome import reported_usage, result_of, terminal_of
from domain.turns.ports import TurnTx
from domain.turns.settling import count_settlement, count_tool_calls
from domain.unit_of_work import Access, LostRace, UnitOfWork

_log = logging.getLogger(__name__)

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0
_LEASE_LOST = Stopped(reason=StopReason.LEASE_LOST)


class TurnFinaliser:
    """`begin` runs on the reserved pool, so that an ending never waits behind requests.

    `lease` tells the readers of a turn that could not be settled when the reaper will have ended it.
    """

    def __init__(
        self,
        begin: UnitOfWork[TurnTx],
        budgets: Estimation,
        rules: QuotaRules,
        deadline: timedelta,
        lease: timedelta,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._begin = begin
        self._budgets = budgets
        self._rules = rules
        self._deadline = deadline
        self._lease = lease
        self._clock = clock
        self._telemetry = telemetry

    async def finish(self, closing: Closing) -> Done | TurnError:
        result = result_of(closing, self._budgets, self._rules, self._clock)
        with (
            self._telemetry.span(SpanName.FINALISE, closing.brief.trace),
            anyio.move_on_after(self._deadline.total_seconds()),
        ):
            levels = None if closing.ending == _LEASE_LOST else await self._settled(closing, result)
            if levels is not None:
                self._count(closing, result)
                return terminal_of(closing, result, levels)
            self._telemetry.count(Counted.LOST_RACE)
            return await self._what_stands(closing)
        self._telemetry.count(Counted.FINALIZE_GAVE_UP)
        _log.error("turn_not_settled", extra={"turn_id": str(closing.brief.turn_id)})
        return self._untold(closing)

    async def _settled(self, closing: Closing, result: TurnResult) -> Sequence[QuotaLevel] | None:
        """What is left of the credits. Tries until the deadline around it; None when somebody else has the turn."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await self._commit(closing, result)
            except (ServiceUnavailable, LostRace):
                self._telemetry.count(Counted.FINALIZE_RETRY)
            await anyio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _commit(self, closing: Closing, result: TurnResult) -> Sequence[QuotaLevel] | None:
        brief, turn = closing.brief, TurnIdentity.of(closing.brief)
        async with self._begin(brief.scope) as tx:
            if closing.may_have_gone_over:
                await tx.turns.stay_with(brief)
            short = await tx.turns.finish(brief.turn_id, brief.chat_id, brief.epoch, result)
            if short is None:
                return await self._levels(tx, result) if await _is_ours(tx, closing, result) else None
            await tx.events.add(*events_of_ending(turn, result, closing.ending, self._clock.now()))
            follow_ups = follow_ups_of(brief, result)
            if follow_ups:
                await tx.jobs.enqueue(*follow_ups)
            levels = await self._levels(tx, result)
        count_settlement(self._telemetry, turn, result.settlement, short)
        count_follow_ups(self._telemetry, follow_ups)
        return levels

    async def _levels(self, tx: TurnTx, result: TurnResult) -> Sequence[QuotaLevel]:
        """Only those whose turn was completed are told."""
        if result.state is not TurnState.COMPLETED:
            return ()
        return levels_of(Holder.USER, await tx.quotas.standing(), self._rules)

    async def _what_stands(self, closing: Closing) -> TurnError:
        """What another owner has made of the turn by now, or that its end is still to come."""
        fence = None
        with suppress(ServiceUnavailable):
            async with self._begin(closing.brief.scope, Access.READ) as tx:
                fence = await tx.turns.fence(closing.brief.turn_id)
        if fence is None or fence.state is TurnState.RUNNING:
            return self._untold(closing)
        failed = fence.state is TurnState.FAILED
        return turn_error(fence.error_code or "turn_cancelled", closing.brief.trace.trace_id, retryable=failed)

    def _untold(self, closing: Closing) -> TurnError:
        retry_after_ms = int(self._lease.total_seconds() * 1000)
        return turn_error("internal_error", closing.brief.trace.trace_id, retryable=True, retry_after_ms=retry_after_ms)

    def _count(self, closing: Closing, result: TurnResult) -> None:
        if (reason := invalid_reason(reported_usage(closing))) is not None:
            self._telemetry.count(Counted.USAGE_INVALID, reason=reason)
        count_tool_calls(self._telemetry, closing.transcript.tools)
        model = closing.brief.resolution.effective
        labels = {"provider": model.provider_id, "model": model.id}
        if result.state is TurnState.COMPLETED:
            self._telemetry.count(Counted.STREAM_COMPLETED, **labels)
        else:
            code = result.error_code or "turn_cancelled"
            self._telemetry.count(Counted.STREAM_FAILED, error_code=code, **labels)


async def _is_ours(tx: TurnTx, closing: Closing, result: TurnResult) -> bool:
    """A commit whose reply was lost is ours: nobody else ends a turn under our epoch."""
    fence = await tx.turns.fence(closing.brief.turn_id)
    return fence is not None and fence.owner_epoch == closing.brief.epoch and fence.state is result.state

"""How each ending of a turn is stored and told (api.md 4.8, engine.md 2.5). Pure."""

from collections.abc import Sequence
from typing import Final, assert_never

from domain.catalogue.models import Estimation
from domain.clock import Clock, elapsed_ms, utc_text
from domain.context.usage import resolve_usage
from domain.providers.events import Finish, Usage
from domain.quotas.models import QuotaRules
from domain.quotas.settlement import BillingOutcome, settle
from domain.quotas.warnings import QuotaLevel
from domain.streaming.events import Done, QuotaWarning, Timing, TokenUsage, TurnError
from domain.streaming.failures import turn_error
from domain.streaming.models import Broke, Ending, Finished, Stopped, StopReason
from domain.streaming.ports import Closing
from domain.turns.models import TurnResult, TurnState

_STOPPED: dict[StopReason, tuple[TurnState, str]] = {
    StopReason.DISCONNECT: (TurnState.CANCELLED, "turn_cancelled"),
    StopReason.CANCEL_REQUESTED: (TurnState.CANCELLED, "turn_cancelled"),
    StopReason.CHAT_DELETED: (TurnState.CANCELLED, "turn_cancelled"),
    StopReason.OPERATOR_ABORT: (TurnState.CANCELLED, "turn_cancelled"),
    StopReason.SWITCHED_OFF: (TurnState.FAILED, "generation_disabled"),
    StopReason.TURN_TIMEOUT: (TurnState.FAILED, "turn_timeout"),
    StopReason.DRAIN: (TurnState.FAILED, "server_shutdown"),
    StopReason.LEASE_LOST: (TurnState.FAILED, "internal_error"),
}


_FREE_OF_CHARGE: Final = frozenset({"context_budget_exceeded"})
"""What a provider answers before it has read the prompt."""

_MAX_REMOTE_ID_CHARS: Final = 256


def result_of(closing: Closing, budgets: Estimation, rules: QuotaRules, clock: Clock) -> TurnResult:
    """The columns of the terminal row. Text of a deleted chat is not kept."""
    state, finish, code, _ = _verdict(closing.ending)
    transcript, brief = closing.transcript, closing.brief
    usage = resolve_usage(
        reported_usage(closing),
        called=closing.provider_called and code not in _FREE_OF_CHARGE,
        prompt_estimate=brief.hold.estimated_input_tokens,
        generated_bytes=transcript.generated_bytes,
        max_output_tokens=brief.hold.max_output_tokens,
        budgets=brief.resolution.effective.estimation_budgets.over(budgets),
    )
    text = transcript.text
    if closing.ending == Stopped(reason=StopReason.CHAT_DELETED):
        text = ""
    return TurnResult(
        state=state,
        finish=finish,
        error_code=code if state is TurnState.FAILED else None,
        text=text if text or state is TurnState.COMPLETED else None,
        citations=tuple(transcript.citations),
        usage_source=usage.source,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        settlement=settle(
            brief.hold, usage.source, usage.input_tokens, usage.output_tokens, rules.overshoot_tolerance_pct
        ),
        billing_outcome=_billing_outcome(closing.ending),
        ttft_ms=None if transcript.first_token is None else int((transcript.first_token - brief.started) * 1000),
        total_ms=elapsed_ms(clock, brief.started),
        last_number=closing.last_number,
        tool_calls=transcript.tools.completed,
        retryable=_is_retryable(closing.ending, state),
        retry_after_ms=closing.ending.retry_after_ms if isinstance(closing.ending, Broke) else None,
        upstream_closed_ms=closing.upstream_closed_ms,
        remote_id=_kept_id(transcript.remote_id),
    )


def _kept_id(remote_id: str | None) -> str | None:
    """One that no row could hold must not keep the turn from its end."""
    is_sound = remote_id is not None and len(remote_id) <= _MAX_REMOTE_ID_CHARS and remote_id.isprintable()
    return remote_id if is_sound else None


def reported_usage(closing: Closing) -> Usage | None:
    """What the provider said last of what it used."""
    _, _, _, reported = _verdict(closing.ending)
    return reported or closing.transcript.reported_usage


def _billing_outcome(ending: Ending) -> BillingOutcome:
    if isinstance(ending, Finished):
        return BillingOutcome.COMPLETED
    aborted = isinstance(ending, Stopped) and ending.reason is not StopReason.TURN_TIMEOUT
    return BillingOutcome.ABORTED if aborted else BillingOutcome.FAILED


def _is_retryable(ending: Ending, state: TurnState) -> bool | None:
    if state is TurnState.COMPLETED:
        return None
    if isinstance(ending, Broke):
        return ending.retryable
    return state is TurnState.FAILED and ending != Stopped(reason=StopReason.SWITCHED_OFF)


def terminal_of(closing: Closing, result: TurnResult, levels: Sequence[QuotaLevel]) -> Done | TurnError:
    """What the readers are told once `result` has been committed; `levels` are what it has left of the credits."""
    resolution = closing.brief.resolution
    if result.finish is None:
        _, _, code, _ = _verdict(closing.ending)
        return turn_error(
            code or "internal_error",
            closing.brief.trace.trace_id,
            retryable=result.retryable is True,
            retry_after_ms=result.retry_after_ms,
        )
    return Done(
        usage=TokenUsage(input_tokens=result.input_tokens, output_tokens=result.output_tokens),
        effective_model=resolution.effective.id,
        selected_model=resolution.selected_model,
        quota_decision=resolution.decision,
        downgrade_from=resolution.selected_model if resolution.downgrade_reason else None,
        downgrade_reason=resolution.downgrade_reason,
        quota_warnings=tuple(_warning(level) for level in levels),
        finish_reason=result.finish,
        timing=Timing(ttft_ms=result.ttft_ms, total_ms=result.total_ms or 0),
    )


def _warning(level: QuotaLevel) -> QuotaWarning:
    return QuotaWarning(
        tier=level.tier,
        period=level.period,
        remaining_percentage=level.remaining_percentage,
        warning=level.warning,
        exhausted=level.exhausted,
        next_reset=utc_text(level.next_reset) if level.warning or level.exhausted else None,
    )


def _verdict(ending: Ending) -> tuple[TurnState, Finish | None, str | None, Usage | None]:
    match ending:
        case Finished(finish=finish, usage=usage):
            return TurnState.COMPLETED, finish, None, usage
        case Stopped(reason=reason):
            state, code = _STOPPED[reason]
            return state, None, code, None
        case Broke(code=code, usage=usage):
            return TurnState.FAILED, None, code, usage
        case _:
            assert_never(ending)

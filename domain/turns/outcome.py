"""How each ending of a turn is stored and told (api.md 4.8, engine.md 2.5). Pure."""

from typing import assert_never

from domain.catalogue.models import Estimation
from domain.clock import Clock, elapsed_ms
from domain.providers.events import Finish, Usage
from domain.streaming.events import Done, Timing, TokenUsage, TurnError
from domain.streaming.failures import turn_error
from domain.streaming.models import Broke, Ending, Finished, Stopped, StopReason
from domain.streaming.ports import Closing
from domain.turns.models import TurnResult, TurnState
from domain.turns.usage import resolve_usage

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


def result_of(closing: Closing, budgets: Estimation, clock: Clock) -> TurnResult:
    """The columns of the terminal row. Text of a deleted chat is not kept."""
    state, finish, code, reported = _verdict(closing.ending)
    transcript, brief = closing.transcript, closing.brief
    usage = resolve_usage(
        reported or transcript.reported_usage,
        called=closing.provider_called,
        prompt_estimate=brief.prompt_tokens_estimate,
        generated_bytes=transcript.generated_bytes,
        max_output_tokens=brief.resolution.effective.max_output_tokens,
        budgets=budgets,
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
        ttft_ms=None if transcript.first_token is None else int((transcript.first_token - brief.started) * 1000),
        total_ms=elapsed_ms(clock, brief.started),
        last_number=closing.last_number,
        retryable=_is_retryable(closing.ending, state),
        retry_after_ms=closing.ending.retry_after_ms if isinstance(closing.ending, Broke) else None,
        upstream_closed_ms=closing.upstream_closed_ms,
    )


def _is_retryable(ending: Ending, state: TurnState) -> bool | None:
    if state is TurnState.COMPLETED:
        return None
    if isinstance(ending, Broke):
        return ending.retryable
    return state is TurnState.FAILED and ending != Stopped(reason=StopReason.SWITCHED_OFF)


def terminal_of(closing: Closing, result: TurnResult) -> Done | TurnError:
    """What the readers are told once `result` has been committed."""
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
        quota_warnings=(),
        finish_reason=result.finish,
        timing=Timing(ttft_ms=result.ttft_ms, total_ms=result.total_ms or 0),
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

"""A turn that has ended, told again from its rows in condensed form (api.md 4.5). Pure."""

from collections.abc import Sequence

from domain.ids import MessageId, RequestId
from domain.providers.events import Citation
from domain.streaming.condensed import condensed
from domain.streaming.events import (
    Citations,
    Delta,
    Done,
    Numbered,
    StreamEvent,
    StreamStarted,
    Timing,
    TokenUsage,
)
from domain.streaming.failures import turn_error
from domain.turns.models import StoredAnswer, StoredFailure, TurnStatus


def replayed(answer: StoredAnswer) -> Sequence[Numbered]:
    message = answer.message
    return condensed(
        _started(answer.request_id, message.id),
        message.content,
        [*_cited(message.citations), done_of(answer)],
        answer.last_number,
    )


def replayed_failure(turn: TurnStatus, failure: StoredFailure) -> Sequence[Numbered]:
    """As `replayed`, of a turn that failed or was cancelled: what it had said, then its `error`."""
    error = turn_error(
        turn.error_code or "turn_cancelled",
        turn.trace_id,
        retryable=failure.retryable,
        retry_after_ms=failure.retry_after_ms,
    )
    return condensed(started_again(turn), failure.text, [*_cited(failure.citations), error], failure.last_number)


def started_again(turn: TurnStatus) -> StreamStarted:
    """The first event of a turn as those are told it who did not start it."""
    return _started(turn.request_id, turn.planned_message_id)


def rest_after(position: int, events: Sequence[Numbered]) -> Sequence[Numbered]:
    """What a reader lacks who has had everything up to `position` of a turn that has ended (api.md 4.6).

    A position inside of what is condensed here gets the whole again.
    """
    if not events:
        return ()
    text = next((number for number, event in events if isinstance(event, Delta)), events[-1][0])
    if position == 0 or 1 < position < text:
        return events
    return [(number, event) for number, event in events if number > position]


def _started(request_id: RequestId, message_id: MessageId) -> StreamStarted:
    return StreamStarted(request_id=str(request_id), message_id=str(message_id), is_new_turn=False)


def _cited(citations: tuple[Citation, ...]) -> list[StreamEvent]:
    return [Citations(citations)] if citations else []


def done_of(answer: StoredAnswer) -> Done:
    """The terminal event as it was first sent, but for warnings, which speak of the present."""
    return Done(
        usage=TokenUsage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens),
        effective_model=answer.effective_model,
        selected_model=answer.selected_model,
        quota_decision=answer.quota_decision,
        downgrade_from=answer.selected_model if answer.downgrade_reason else None,
        downgrade_reason=answer.downgrade_reason,
        quota_warnings=(),
        finish_reason=answer.finish,
        timing=Timing(ttft_ms=answer.ttft_ms, total_ms=answer.total_ms),
    )

"""A turn that has ended, told again from its rows in condensed form (api.md 4.5). Pure."""

from collections.abc import Sequence

from domain.streaming.condensed import condensed
from domain.streaming.events import (
    Citations,
    Done,
    Numbered,
    StreamEvent,
    StreamStarted,
    Timing,
    TokenUsage,
)
from domain.turns.models import StoredAnswer


def replayed(answer: StoredAnswer) -> Sequence[Numbered]:
    message = answer.message
    started = StreamStarted(request_id=str(answer.request_id), message_id=str(message.id), is_new_turn=False)
    cited: list[StreamEvent] = [Citations(message.citations)] if message.citations else []
    return condensed(started, message.content, [*cited, done_of(answer)], answer.last_number)


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

"""What an ended turn is told again by."""

from typing import Any, Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Row,
    and_,
    func,
    select,
)
from sqlalchemy.orm import InstrumentedAttribute

from domain.ids import ChatId, MessageId
from domain.providers.events import Citation, Finish
from domain.turns.models import (
    StoredAnswer,
    StoredFailure,
    TurnState,
)
from infra.postgres.orm.message import MessageRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.repositories.bound import OUR_TURN
from infra.postgres.repositories.messages import MESSAGE_COLUMNS, message_of


def _message_of_turn(message: type[MessageRow], message_id: InstrumentedAttribute[Any]) -> ColumnElement[bool]:
    return and_(message.tenant_id == TurnRow.tenant_id, message.id == message_id)


STORED_ANSWER: Final = (
    select(
        *MESSAGE_COLUMNS,
        TurnRow.chat_id,
        TurnRow.user_message_id,
        TurnRow.selected_model,
        TurnRow.effective_model,
        TurnRow.quota_decision,
        TurnRow.downgrade_reason,
        TurnRow.input_tokens.label("used_input_tokens"),
        TurnRow.output_tokens.label("used_output_tokens"),
        TurnRow.ttft_ms,
        TurnRow.total_ms,
        TurnRow.last_event_id,
    )
    .join(MessageRow, _message_of_turn(MessageRow, TurnRow.assistant_message_id))
    .where(OUR_TURN, TurnRow.state == TurnState.COMPLETED.value, TurnRow.deleted_at.is_(None))
)

# Turns that ended before it was kept are told as most of their kind were.
_was_retryable = func.coalesce(TurnRow.retryable, TurnRow.state == TurnState.FAILED.value)
FAILURE: Final = (
    select(
        MessageRow.content,
        MessageRow.citations,
        _was_retryable.label("was_retryable"),
        TurnRow.retry_after_ms,
        TurnRow.last_event_id,
    )
    .outerjoin(MessageRow, _message_of_turn(MessageRow, TurnRow.assistant_message_id))
    .where(OUR_TURN, TurnRow.state.in_((TurnState.FAILED.value, TurnState.CANCELLED.value)))
)


def stored_answer(row: Row[*tuple[Any, ...]]) -> StoredAnswer:
    message = message_of(row)
    return StoredAnswer(
        request_id=message.request_id,
        chat_id=ChatId(row.chat_id),
        user_message_id=MessageId(row.user_message_id),
        message=message,
        selected_model=row.selected_model,
        effective_model=row.effective_model,
        quota_decision=row.quota_decision,
        downgrade_reason=row.downgrade_reason,
        finish=message.finish_reason or Finish.STOP,
        input_tokens=row.used_input_tokens,
        output_tokens=row.used_output_tokens,
        ttft_ms=row.ttft_ms,
        total_ms=row.total_ms,
        last_number=row.last_event_id,
    )


def stored_failure(row: Row[*tuple[Any, ...]]) -> StoredFailure:
    return StoredFailure(
        text=row.content or "",
        citations=msgspec.convert(row.citations or (), tuple[Citation, ...]),
        retryable=row.was_retryable,
        retry_after_ms=row.retry_after_ms,
        last_number=row.last_event_id,
    )

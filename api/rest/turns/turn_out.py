"""A turn on the wire (api.md 3.2)."""

from typing import Self

import msgspec
from msgspec import UNSET, UnsetType

from api.rest.wire_types import Id, Moment, present
from domain.clock import utc_text
from domain.turns.models import PUBLIC_STATES, TurnStatus


class TurnOut(msgspec.Struct, frozen=True, kw_only=True):
    """`deleted_at` is there once the turn is deleted, and with `replaced_by_request_id` once it is replaced."""

    request_id: Id
    state: str
    error_code: str | UnsetType = UNSET
    assistant_message_id: Id | UnsetType = UNSET
    updated_at: Moment
    created_at: Moment
    effective_model: str
    finish_reason: str | UnsetType = UNSET
    replaced_by_request_id: Id | UnsetType = UNSET
    deleted_at: Moment | UnsetType = UNSET

    @classmethod
    def of(cls, turn: TurnStatus) -> Self:
        return cls(
            request_id=str(turn.request_id),
            state=PUBLIC_STATES[turn.state],
            error_code=present(turn.error_code),
            assistant_message_id=UNSET if turn.assistant_message_id is None else str(turn.assistant_message_id),
            updated_at=utc_text(turn.updated_at),
            created_at=utc_text(turn.created_at),
            effective_model=turn.effective_model,
            finish_reason=present(turn.finish),
            replaced_by_request_id=UNSET if turn.replaced_by is None else str(turn.replaced_by),
            deleted_at=UNSET if turn.deleted_at is None else utc_text(turn.deleted_at),
        )

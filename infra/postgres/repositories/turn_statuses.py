"""Turns of one owner looked up by name, deleted and replaced ones too."""

from typing import Final

import asyncpg
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import ChatId, MessageId, OwnerId, RequestId, TurnId
from domain.providers.events import Finish
from domain.scope import AccessScope
from domain.turns.models import TurnLookup, TurnName, TurnState, TurnStatus
from infra.postgres.connection_pool import driver_of
from infra.postgres.orm.turn import TurnRow
from infra.postgres.repositories.named_turn import NamedTurn

_STATUS: Final = NamedTurn(
    select(
        TurnRow.id,
        TurnRow.request_id,
        TurnRow.state,
        TurnRow.error_code,
        TurnRow.finish_reason,
        TurnRow.effective_model,
        TurnRow.planned_message_id,
        TurnRow.assistant_message_id,
        TurnRow.owner_id,
        TurnRow.owner_epoch,
        TurnRow.trace_id,
        TurnRow.last_event_id,
        TurnRow.started_at,
        func.coalesce(TurnRow.deleted_at, TurnRow.completed_at, TurnRow.started_at).label("changed_at"),
        TurnRow.deleted_at,
        TurnRow.replaced_by_request_id,
    )
)


class PostgresStatuses:
    """Fills the port Statuses."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._ours = {"b_tenant_id": scope.tenant_id, "b_user_id": scope.user_id}

    async def find(self, chat_id: ChatId, name: TurnName) -> TurnLookup | None:
        row = await _STATUS.find(driver_of(self._connection), self._ours, chat_id, name)
        if row is None:
            return None
        return TurnLookup(turn=None if row["id"] is None else _status(row, chat_id))


def _status(row: asyncpg.Record, chat_id: ChatId) -> TurnStatus:
    answer, owner, successor = row["assistant_message_id"], row["owner_id"], row["replaced_by_request_id"]
    return TurnStatus(
        id=TurnId(row["id"]),
        chat_id=chat_id,
        request_id=RequestId(row["request_id"]),
        state=TurnState(row["state"]),
        error_code=row["error_code"],
        finish=None if row["finish_reason"] is None else Finish(row["finish_reason"]),
        effective_model=row["effective_model"],
        planned_message_id=MessageId(row["planned_message_id"]),
        assistant_message_id=None if answer is None else MessageId(answer),
        owner_id=None if owner is None else OwnerId(owner),
        owner_epoch=row["owner_epoch"],
        trace_id=row["trace_id"],
        last_number=row["last_event_id"],
        created_at=row["started_at"],
        updated_at=row["changed_at"],
        deleted_at=row["deleted_at"],
        replaced_by=None if successor is None else RequestId(successor),
    )

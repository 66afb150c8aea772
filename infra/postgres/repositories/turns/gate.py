"""What one read of a chat shows to a send, before anything is written."""

from typing import Final

import asyncpg
from sqlalchemy import (
    ColumnElement,
    Integer,
    and_,
    exists,
    literal,
    not_,
    select,
)
from sqlalchemy.orm import aliased

from domain.ids import ChatId, RequestId, TurnId
from domain.turns.models import (
    Founding,
    Gate,
    TurnKind,
    TurnState,
    TurnSummary,
)
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.prepared import Prepared
from infra.postgres.repositories.bound import OUR_LIVE_CHAT, OUR_TURNS
from infra.postgres.repositories.bound import bound as _b
from infra.postgres.repositories.quotas import STANDING, standing_of
from infra.postgres.repositories.titles import IS_OPEN

_Same = aliased(TurnRow, name="same_request")
_Running = aliased(TurnRow, name="running")
_Completed = aliased(TurnRow, name="completed")


def _in_chat(turn: type[TurnRow]) -> ColumnElement[bool]:
    return and_(turn.tenant_id == ChatRow.tenant_id, turn.chat_id == ChatRow.id)


# The second half is looked up only where the first holds: for a chat that was named it costs nothing.
_awaits_title = and_(
    IS_OPEN,
    not_(
        exists()
        .where(_in_chat(_Completed), _Completed.state == TurnState.COMPLETED.value, _Completed.deleted_at.is_(None))
        .correlate(ChatRow)
    ),
)
GATE: Final = Prepared(
    select(
        ChatRow.model,
        ChatRow.revision,
        _Same.id,
        _Same.state,
        _Same.body_fingerprint,
        _Same.deleted_at,
        _Running.request_id.label("running_request_id"),
        ChatRow.title.is_(None).label("is_untitled"),
        _awaits_title.label("awaits_title"),
        *STANDING,
    )
    .outerjoin(_Same, and_(_in_chat(_Same), _Same.request_id == _b("request_id")))
    .outerjoin(_Running, and_(_in_chat(_Running), _Running.state == TurnState.RUNNING.value))
    .where(OUR_LIVE_CHAT)
)

FOUNDING: Final = Prepared(
    select(TurnRow.id, TurnRow.chat_id, TurnRow.state, TurnRow.body_fingerprint, TurnRow.deleted_at, *STANDING)
    .select_from(select(literal(1, Integer()).label("always")).subquery())
    .outerjoin(
        TurnRow,
        and_(OUR_TURNS, TurnRow.request_id == _b("request_id"), TurnRow.kind == TurnKind.CREATE_SEND.value),
    )
)


def gate_of(row: asyncpg.Record, chat_id: ChatId, request_id: RequestId) -> Gate:
    return Gate(
        chat_id=chat_id,
        model=row["model"],
        revision=row["revision"],
        same_request=None if row["id"] is None else _summary(row, chat_id, request_id),
        running_request_id=row["running_request_id"],
        standing=standing_of(row),
        is_untitled=row["is_untitled"],
        awaits_title=row["awaits_title"],
    )


def founding_of(row: asyncpg.Record, request_id: RequestId) -> Founding:
    created = None if row["id"] is None else _summary(row, ChatId(row["chat_id"]), request_id)
    return Founding(created=created, standing=standing_of(row))


def _summary(row: asyncpg.Record, chat_id: ChatId, request_id: RequestId) -> TurnSummary:
    return TurnSummary(
        id=TurnId(row["id"]),
        chat_id=chat_id,
        request_id=request_id,
        state=TurnState(row["state"]),
        fingerprint=row["body_fingerprint"],
        is_deleted=row["deleted_at"] is not None,
    )

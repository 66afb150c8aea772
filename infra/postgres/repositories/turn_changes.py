"""Turns of one owner that are about to change, and their removal."""

from typing import Final

import asyncpg
from sqlalchemy import and_, case, func, literal_column, null, select, update
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import aliased

from domain.ids import ChatId, RequestId, TurnId
from domain.scope import AccessScope
from domain.turns.models import TurnName, TurnState
from domain.turns.mutations import Aim, Target
from infra.postgres.connection_pool import driver_of
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.message import MessageRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.prepared import Prepared
from infra.postgres.repositories.bound import OUR_LIVE_CHAT, OUR_TURN, TENANT, bound
from infra.postgres.repositories.named_turn import NamedTurn
from infra.postgres.repositories.titles import USERS_OWN

_Newer = aliased(TurnRow, name="newer")

_is_superseded = (
    select(_Newer.id)
    .where(
        _Newer.tenant_id == TurnRow.tenant_id,
        _Newer.chat_id == TurnRow.chat_id,
        _Newer.user_seq > TurnRow.user_seq,
        _Newer.deleted_at.is_(None),
    )
    .exists()
)
_TARGET: Final = NamedTurn(
    select(
        TurnRow.id,
        TurnRow.request_id,
        TurnRow.state,
        TurnRow.web_search,
        and_(TurnRow.deleted_at.is_(None), ~_is_superseded).label("is_newest"),
        MessageRow.content,
        MessageRow.metadata_.label("metadata"),
    ).join(MessageRow, and_(MessageRow.tenant_id == TurnRow.tenant_id, MessageRow.id == TurnRow.user_message_id)),
    ChatRow.revision,
)

# What a chat was called by itself tells of its turns, and goes with the last one.
_Another = aliased(TurnRow, name="another")
_is_left_empty = ~(
    select(_Another.id)
    .where(
        _Another.tenant_id == ChatRow.tenant_id,
        _Another.chat_id == ChatRow.id,
        _Another.id != bound("turn_id"),
        _Another.deleted_at.is_(None),
    )
    .correlate(ChatRow)
    .exists()
)
_loses_its_title = and_(ChatRow.title_source != literal_column(f"'{USERS_OWN}'"), _is_left_empty)

_may_go = and_(OUR_TURN, TurnRow.state != TurnState.RUNNING.value, TurnRow.deleted_at.is_(None))
_moved = (
    update(ChatRow)
    .where(
        OUR_LIVE_CHAT,
        ChatRow.revision == bound("seen_revision"),
        select(TurnRow.id).where(_may_go, TurnRow.chat_id == bound("chat_id")).exists(),
    )
    .values(
        title=case((_loses_its_title, null()), else_=ChatRow.title),
        title_source=case((_loses_its_title, null()), else_=ChatRow.title_source),
        revision=ChatRow.revision + 1,
        updated_at=func.now(),
    )
    .returning(ChatRow.id)
    .cte("moved")
)
_gone = (
    update(TurnRow)
    .where(_may_go, TurnRow.chat_id == _moved.c.id)
    .values(deleted_at=func.now())
    .returning(TurnRow.id)
    .cte("gone")
)
_hidden = (
    update(MessageRow)
    .where(MessageRow.tenant_id == TENANT, MessageRow.turn_id == _gone.c.id, MessageRow.deleted_at.is_(None))
    .values(deleted_at=func.now())
    .cte("hidden")
)
_REMOVE: Final = Prepared(select(_gone.c.id).add_cte(_hidden))


class PostgresChanges:
    """Fills the port Changes."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._ours = {"b_tenant_id": scope.tenant_id, "b_user_id": scope.user_id}

    async def aim(self, chat_id: ChatId, name: TurnName) -> Aim | None:
        row = await _TARGET.find(driver_of(self._connection), self._ours, chat_id, name)
        if row is None:
            return None
        return Aim(target=None if row["id"] is None else _target(row))

    async def remove(self, chat_id: ChatId, revision: int, turn_id: TurnId) -> bool:
        place = {**self._ours, "b_chat_id": chat_id, "b_turn_id": turn_id, "b_seen_revision": revision}
        return await _REMOVE.one(driver_of(self._connection), place) is not None


def _target(row: asyncpg.Record) -> Target:
    return Target(
        revision=row["revision"],
        turn_id=TurnId(row["id"]),
        request_id=RequestId(row["request_id"]),
        state=TurnState(row["state"]),
        is_newest=row["is_newest"],
        content=row["content"],
        metadata=row["metadata"],
        web_search=row["web_search"],
    )

"""One turn of a live chat looked up as its caller names it: by its key, or as the newest that is not deleted."""

from collections.abc import Mapping
from typing import Any, TypeAlias

import asyncpg
from sqlalchemy import ColumnElement, Select, select, true
from sqlalchemy.orm import InstrumentedAttribute

from domain.ids import ChatId
from domain.turns.models import LATEST, TurnName
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.prepared import Prepared
from infra.postgres.repositories.bound import OUR_LIVE_CHAT, bound

_Column: TypeAlias = ColumnElement[Any] | InstrumentedAttribute[Any]
_OfTurn: TypeAlias = Select[*tuple[Any, ...]]


class NamedTurn:
    """`of_turn` selects from TurnRow, its `id` among it; `of_chat` are columns that come with it from the chat."""

    def __init__(self, of_turn: _OfTurn, *of_chat: _Column) -> None:
        in_chat = of_turn.where(TurnRow.tenant_id == ChatRow.tenant_id, TurnRow.chat_id == ChatRow.id)
        turns = in_chat.correlate(ChatRow)
        newest = turns.where(TurnRow.deleted_at.is_(None)).order_by(TurnRow.user_seq.desc()).limit(1)
        self._by_key = _in_our_chat(turns.where(TurnRow.request_id == bound("request_id")), of_chat)
        self._newest = _in_our_chat(newest, of_chat)

    async def find(
        self, driver: asyncpg.Connection, ours: Mapping[str, object], chat_id: ChatId, name: TurnName
    ) -> asyncpg.Record | None:
        """None without such a live chat; a record whose `id` is None when the chat has no such turn."""
        place = {**ours, "b_chat_id": chat_id}
        if name == LATEST:
            return await self._newest.one(driver, place)
        return await self._by_key.one(driver, {**place, "b_request_id": name})


def _in_our_chat(turn: _OfTurn, of_chat: tuple[_Column, ...]) -> Prepared:
    found = turn.lateral("found")
    return Prepared(select(*of_chat, found).select_from(ChatRow).outerjoin(found, true()).where(OUR_LIVE_CHAT))

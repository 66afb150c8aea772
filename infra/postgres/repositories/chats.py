"""The chats of one owner."""

from datetime import timedelta
from typing import Any, Final

from msgspec.structs import replace
from sqlalchemy import Row, func, insert, literal_column, select, update
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.orm import InstrumentedAttribute

from domain.chats.listing import CHAT_LIST
from domain.chats.models import PREVIEW_CHARACTERS, Chat, ChatChange, Deletion, NewChat, RunningTurn
from domain.ids import ChatId, OwnerId, TurnId, UserId
from domain.pagination import Page, PageQuery
from domain.scope import AccessScope
from domain.streaming.models import StopReason
from domain.turns.models import TurnState
from infra.postgres.list_columns import ListColumns
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.message import MessageRow
from infra.postgres.orm.turn import TurnRow
from infra.postgres.repositories.titles import USERS_OWN
from infra.postgres.scoping import live_chat, live_chats, of_tenant, restorable_chats
from infra.postgres.sql_list import SqlList

_COLUMNS: Final = (
    ChatRow.id,
    ChatRow.user_id,
    ChatRow.model,
    ChatRow.title,
    ChatRow.is_temporary,
    ChatRow.is_favorite,
    ChatRow.metadata_.label("metadata"),
    ChatRow.message_count,
    ChatRow.created_at,
    ChatRow.updated_at,
    ChatRow.deleted_at,
)

_PREVIEW: Final = (
    select(func.left(MessageRow.content, PREVIEW_CHARACTERS))
    .where(
        MessageRow.tenant_id == ChatRow.tenant_id,
        MessageRow.chat_id == ChatRow.id,
        MessageRow.deleted_at.is_(None),
    )
    .order_by(MessageRow.seq.desc())
    .limit(literal_column("1"))
    .correlate(ChatRow)
    .scalar_subquery()
    .label("last_message_preview")
)


class PostgresChats:
    """Fills the port Chats."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def add(self, chat_id: ChatId, chat: NewChat) -> Chat:
        statement = (
            insert(ChatRow)
            .values(
                tenant_id=self._scope.tenant_id,
                id=chat_id,
                user_id=self._scope.user_id,
                model=chat.model,
                title=chat.title,
                title_source=None if chat.title is None else USERS_OWN,
                is_temporary=chat.is_temporary,
                metadata_=chat.metadata,
            )
            .returning(*_COLUMNS)
        )
        result = await self._connection.execute(statement)
        return _chat(result.one())

    async def get(self, chat_id: ChatId) -> Chat | None:
        statement = select(*_COLUMNS).where(live_chat(self._scope, chat_id))
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else _chat(row)

    async def page(self, query: PageQuery, *, preview: bool = False) -> Page[Chat]:
        chats = _PREVIEWED_LIST if preview else _LIST
        return await chats.page(self._connection, live_chats(self._scope), query)

    async def restorable_page(self, query: PageQuery, window: timedelta, *, preview: bool = False) -> Page[Chat]:
        chats = _PREVIEWED_LIST if preview else _LIST
        return await chats.page(self._connection, restorable_chats(self._scope, window), query)

    async def lock(self, chat_id: ChatId) -> Chat | None:
        statement = select(*_COLUMNS).where(live_chat(self._scope, chat_id)).with_for_update(key_share=True)
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else _chat(row)

    async def change(self, chat_id: ChatId, change: ChatChange) -> Chat | None:
        statement = update(ChatRow).where(live_chat(self._scope, chat_id)).values(_changed(change)).returning(*_COLUMNS)
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else _chat(row)

    async def soft_delete(self, chat_id: ChatId) -> Deletion | None:
        hide = (
            update(ChatRow).where(live_chat(self._scope, chat_id)).values(deleted_at=func.now()).returning(ChatRow.id)
        )
        if (await self._connection.execute(hide)).one_or_none() is None:
            return None
        return Deletion(running_turn=await self._flag_running_turn(chat_id))

    async def restore(self, chat_id: ChatId, window: timedelta) -> Chat | None:
        statement = (
            update(ChatRow)
            .where(restorable_chats(self._scope, window), ChatRow.id == chat_id)
            .values(deleted_at=None)
            .returning(*_COLUMNS)
        )
        row = (await self._connection.execute(statement)).one_or_none()
        return None if row is None else _chat(row)

    async def _flag_running_turn(self, chat_id: ChatId) -> RunningTurn | None:
        # A second statement on purpose: its snapshot is taken once the chat's row lock is ours, so it sees the
        # turn of a send that was committed while we waited. Joined to the first one, it would miss that turn.
        flag = (
            update(TurnRow)
            .where(
                of_tenant(TurnRow, self._scope),
                TurnRow.user_id == self._scope.user_id,
                TurnRow.chat_id == chat_id,
                TurnRow.state == TurnState.RUNNING.value,
            )
            .values(
                cancel_requested_at=func.coalesce(TurnRow.cancel_requested_at, func.now()),
                cancel_reason=func.coalesce(TurnRow.cancel_reason, StopReason.CHAT_DELETED.value),
            )
            .returning(TurnRow.id, TurnRow.owner_id, TurnRow.owner_epoch)
        )
        row = (await self._connection.execute(flag)).one_or_none()
        if row is None:
            return None
        owner = None if row.owner_id is None else OwnerId(row.owner_id)
        return RunningTurn(turn_id=TurnId(row.id), owner_id=owner, owner_epoch=row.owner_epoch)


def _changed(change: ChatChange) -> dict[InstrumentedAttribute[Any], object]:
    values: dict[InstrumentedAttribute[Any], object] = {}
    if change.title is not None:
        values |= {ChatRow.title: change.title, ChatRow.title_source: USERS_OWN, ChatRow.updated_at: func.now()}
    if change.is_favorite is not None:
        values[ChatRow.is_favorite] = change.is_favorite
    if change.metadata is not None:
        values[ChatRow.metadata_] = change.metadata
    return values


def _chat(row: Row[*tuple[Any, ...]]) -> Chat:
    return Chat(
        id=ChatId(row.id),
        user_id=UserId(row.user_id),
        model=row.model,
        title=row.title,
        is_temporary=row.is_temporary,
        is_favorite=row.is_favorite,
        metadata=row.metadata,
        message_count=row.message_count,
        created_at=row.created_at,
        updated_at=row.updated_at,
        deleted_at=row.deleted_at,
    )


def _previewed(row: Row[*tuple[Any, ...]]) -> Chat:
    return replace(_chat(row), last_message_preview=row.last_message_preview)


_LIST: Final = SqlList[Chat](
    columns=ListColumns(
        CHAT_LIST,
        {
            "id": ChatRow.id,
            "title": ChatRow.title,
            "created_at": ChatRow.created_at,
            "updated_at": ChatRow.updated_at,
            "model": ChatRow.model,
            "is_favorite": ChatRow.is_favorite,
            "is_temporary": ChatRow.is_temporary,
        },
    ),
    members=_COLUMNS,
    item_of=_chat,
    stand_ins={"metadata": literal_column("'{}'", JSONB())},
)

_PREVIEWED_LIST: Final = replace(_LIST, members=(*_COLUMNS, _PREVIEW), item_of=_previewed)

"""What was said in the chats of one owner."""

from typing import Any, Final

import msgspec
from sqlalchemy import Row, and_, literal_column
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import ChatId, MessageId, RequestId
from domain.messages.listing import MESSAGE_LIST
from domain.messages.models import Message, Role
from domain.pagination import Page, PageQuery
from domain.providers.events import Citation, Finish
from domain.scope import AccessScope
from infra.postgres.list_columns import ListColumns
from infra.postgres.orm.message import MessageRow
from infra.postgres.scoping import in_live_chat, of_tenant
from infra.postgres.sql_list import SqlList

MESSAGE_COLUMNS: Final = (
    MessageRow.id,
    MessageRow.request_id,
    MessageRow.role,
    MessageRow.content,
    MessageRow.seq,
    MessageRow.is_partial,
    MessageRow.created_at,
    MessageRow.model,
    MessageRow.finish_reason,
    MessageRow.citations,
    MessageRow.metadata_.label("metadata"),
    MessageRow.input_tokens,
    MessageRow.output_tokens,
)


class PostgresMessages:
    """Fills the port Messages."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def page(self, chat_id: ChatId, query: PageQuery) -> Page[Message]:
        shown = and_(
            of_tenant(MessageRow, self._scope),
            MessageRow.chat_id == chat_id,
            MessageRow.deleted_at.is_(None),
            in_live_chat(self._scope, chat_id),
        )
        return await _LIST.page(self._connection, shown, query)


def message_of(row: Row[*tuple[Any, ...]]) -> Message:
    """The message in a row that has every column of `Message` under its name there."""
    return Message(
        id=MessageId(row.id),
        request_id=RequestId(row.request_id),
        role=Role(row.role),
        content=row.content,
        seq=row.seq,
        is_partial=row.is_partial,
        created_at=row.created_at,
        model=row.model,
        finish_reason=None if row.finish_reason is None else Finish(row.finish_reason),
        citations=msgspec.convert(row.citations or (), tuple[Citation, ...]),
        metadata=row.metadata,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
    )


_LIST: Final = SqlList[Message](
    columns=ListColumns(
        MESSAGE_LIST,
        {
            "id": MessageRow.id,
            "role": MessageRow.role,
            "created_at": MessageRow.created_at,
            "seq": MessageRow.seq,
            "model": MessageRow.model,
        },
    ),
    members=MESSAGE_COLUMNS,
    item_of=message_of,
    stand_ins={
        "content": literal_column("''"),
        "citations": literal_column("NULL", JSONB()),
        "metadata": literal_column("NULL", JSONB()),
    },
)

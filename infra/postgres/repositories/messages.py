"""What was said in the chats of one owner."""

from typing import Any, Final

import msgspec
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import ChatId, MessageId, RequestId
from domain.messages.listing import MESSAGE_LIST
from domain.messages.models import Message, Role
from domain.pagination import Page, PageQuery
from domain.providers.events import Citation, Finish
from domain.scope import AccessScope
from infra.postgres.keyset import Keyset
from infra.postgres.list_columns import ListColumns, by_code_point
from infra.postgres.orm.message import MessageRow
from infra.postgres.scoping import in_live_chat, of_tenant

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

_LIST_COLUMNS: Final[ListColumns] = {
    "id": MessageRow.id,
    "role": by_code_point(MessageRow.role),
    "created_at": MessageRow.created_at,
    "seq": MessageRow.seq,
    "model": by_code_point(MessageRow.model),
}


class PostgresMessages:
    """Fills the port Messages."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def page(self, chat_id: ChatId, query: PageQuery) -> Page[Message]:
        statement = select(*MESSAGE_COLUMNS).where(
            of_tenant(MessageRow, self._scope),
            MessageRow.chat_id == chat_id,
            MessageRow.deleted_at.is_(None),
            in_live_chat(self._scope, chat_id),
        )
        keyset = Keyset(columns=_LIST_COLUMNS, order=query.order or MESSAGE_LIST.default_order)
        rows = await self._connection.execute(keyset.beside(statement, query))
        return keyset.page(rows.all(), query, message_of)


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

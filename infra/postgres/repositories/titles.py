"""What chats of one owner are called."""

from typing import Final, TypeVar

from sqlalchemy import ScalarSelect, SQLColumnExpression, func, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import ChatId
from domain.messages.models import Role
from domain.scope import AccessScope
from domain.titles.models import Beginning, GeneratedTitle, TitleSource
from infra.postgres.orm.chat import ChatRow
from infra.postgres.orm.message import MessageRow
from infra.postgres.scoping import live_chat

USERS_OWN: Final = "user"
FIRST_LINE: Final = "first_line"
"""The source of a title that a model's may replace."""

IS_OPEN: Final = or_(ChatRow.title.is_(None), func.coalesce(ChatRow.title_source, USERS_OWN) == FIRST_LINE)
"""Neither a user nor a model has named it."""

_SOURCES: Final = {TitleSource.MODEL: "model", TitleSource.FALLBACK: FIRST_LINE}
_READ_CHARACTERS: Final = 4_000

_Told = TypeVar("_Told")


def _first(role: Role, told: SQLColumnExpression[_Told]) -> ScalarSelect[_Told]:
    """Of its first live message; an empty answer says nothing."""
    return (
        select(told)
        .where(
            MessageRow.tenant_id == ChatRow.tenant_id,
            MessageRow.chat_id == ChatRow.id,
            MessageRow.role == role.value,
            MessageRow.deleted_at.is_(None),
            MessageRow.content != "",
        )
        .order_by(MessageRow.seq)
        .limit(literal_column("1"))
        .correlate(ChatRow)
        .scalar_subquery()
    )


_text: Final = func.left(MessageRow.content, _READ_CHARACTERS)
_question_id: Final = _first(Role.USER, MessageRow.id)
_BEGINNING: Final = select(
    ChatRow.model,
    ChatRow.title,
    IS_OPEN.label("is_open"),
    _question_id.label("question_id"),
    _first(Role.USER, _text).label("question"),
    _first(Role.ASSISTANT, _text).label("answer"),
)


class PostgresTitles:
    """Fills the port Titles."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def beginning(self, chat_id: ChatId) -> Beginning | None:
        statement = _BEGINNING.where(live_chat(self._scope, chat_id))
        row = (await self._connection.execute(statement)).one_or_none()
        if row is None:
            return None
        return Beginning(
            chat_model=row.model,
            title=row.title,
            is_open=row.is_open,
            question_id=row.question_id,
            question=row.question,
            answer=row.answer,
        )

    async def put(self, chat_id: ChatId, title: GeneratedTitle) -> bool:
        statement = (
            update(ChatRow)
            .where(live_chat(self._scope, chat_id))
            .values(title=title.title, title_source=_SOURCES[title.source], updated_at=func.now())
            .returning(ChatRow.id)
        )
        return (await self._connection.execute(statement)).one_or_none() is not None

    async def put_if_open(self, chat_id: ChatId, title: GeneratedTitle, seen: Beginning) -> bool:
        # A statement of its own: the next one sees what was removed while this one waited.
        await self._connection.execute(
            select(ChatRow.id).where(live_chat(self._scope, chat_id)).with_for_update(key_share=True)
        )
        statement = (
            update(ChatRow)
            .where(live_chat(self._scope, chat_id), IS_OPEN, _question_id == seen.question_id)
            .values(title=title.title, title_source=_SOURCES[title.source])
            .returning(ChatRow.id)
        )
        return (await self._connection.execute(statement)).one_or_none() is not None

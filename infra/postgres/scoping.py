"""Where the scope of a unit of work meets SQL.

Row-level security would hide other tenants anyway. The predicates stand in every query all the same: they lead the
index, they keep users apart, and they hold should a policy ever be lost.
"""

from datetime import timedelta

from sqlalchemy import ColumnElement, and_, false, func, select

from domain.ids import ChatId
from domain.scope import AccessScope
from infra.postgres.orm.base import TenantRow
from infra.postgres.orm.chat import ChatRow


def of_tenant(row: type[TenantRow], scope: AccessScope) -> ColumnElement[bool]:
    return row.tenant_id == scope.tenant_id


def live_chat(scope: AccessScope, chat_id: ChatId) -> ColumnElement[bool]:
    """The one chat, if the scope's owner has it and has not deleted it."""
    return and_(live_chats(scope), ChatRow.id == chat_id)


def live_chats(scope: AccessScope) -> ColumnElement[bool]:
    return and_(_chats(scope), ChatRow.deleted_at.is_(None))


def restorable_chats(scope: AccessScope, window: timedelta) -> ColumnElement[bool]:
    """The deleted ones whose window is still open; a window of zero never was."""
    is_open = ChatRow.deleted_at > func.now() - window if window else false()
    return and_(_chats(scope), ChatRow.deleted_at.is_not(None), is_open, ChatRow.is_temporary.is_(False))


def _chats(scope: AccessScope) -> ColumnElement[bool]:
    return and_(of_tenant(ChatRow, scope), ChatRow.user_id == scope.user_id)


def in_live_chat(scope: AccessScope, chat_id: ChatId) -> ColumnElement[bool]:
    """For rows that carry no user of their own: holds only while the owner's chat lives, decided once per statement.

    The user is compared outside, so that the chat is looked up by its key and not among all chats of the user.
    """
    owner = select(ChatRow.user_id).where(
        of_tenant(ChatRow, scope), ChatRow.id == chat_id, ChatRow.deleted_at.is_(None)
    )
    return owner.scalar_subquery() == scope.user_id

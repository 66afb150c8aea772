from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from domain.chats.models import Chat, NewChat
from domain.ids import ChatId, MessageId, RequestId, TenantId, TurnId, UserId, uuid7
from domain.messages.models import Message, Role
from domain.pagination import Page, PageQuery, Position
from domain.scope import AccessScope
from domain.turns.models import TurnName, TurnState, TurnStatus
from domain.turns.status import turn_in
from domain.unit_of_work import Access
from tests.contract.store.backends import Store


def somebody(*, in_tenant_of: AccessScope | None = None) -> AccessScope:
    tenant = TenantId(uuid4()) if in_tenant_of is None else in_tenant_of.tenant_id
    return AccessScope(tenant_id=tenant, user_id=UserId(uuid4()))


def a_chat_id() -> ChatId:
    return ChatId(uuid7(datetime.now(UTC)))


def a_turn(chat_id: ChatId, **members: Any) -> TurnStatus:
    """One that runs, unless `members` say otherwise."""
    started = members.get("created_at", datetime.now(UTC))
    columns: dict[str, Any] = {
        "id": TurnId(uuid7(started)),
        "chat_id": chat_id,
        "request_id": RequestId(uuid4()),
        "state": TurnState.RUNNING,
        "error_code": None,
        "finish": None,
        "effective_model": "m",
        "planned_message_id": MessageId(uuid7(started)),
        "assistant_message_id": None,
        "owner_id": None,
        "owner_epoch": 1,
        "trace_id": "0" * 31 + "1",
        "last_number": None,
        "created_at": started,
        "updated_at": started,
    }
    return TurnStatus(**(columns | members))


def a_message(seq: int, content: str = "hello") -> Message:
    return Message(
        id=MessageId(uuid7(datetime.now(UTC))),
        request_id=RequestId(uuid4()),
        role=Role.USER,
        content=content,
        seq=seq,
        is_partial=False,
        created_at=datetime.now(UTC),
    )


def an_ended_turn(chat_id: ChatId, **members: Any) -> TurnStatus:
    """One that broke before its first word."""
    broke = {"state": TurnState.FAILED, "error_code": "internal_error", "last_number": 2}
    return a_turn(chat_id, **(broke | members))


async def create(store: Store, scope: AccessScope, title: str | None = None) -> Chat:
    async with store.begin(scope) as tx:
        return await tx.chats.add(a_chat_id(), NewChat(model="m", title=title))


async def get(store: Store, scope: AccessScope, chat_id: ChatId) -> Chat | None:
    async with store.begin(scope, Access.READ) as tx:
        return await tx.chats.get(chat_id)


async def chats(store: Store, scope: AccessScope, limit: int, position: Position | None = None) -> Page[Chat]:
    async with store.begin(scope, Access.READ) as tx:
        return await tx.chats.page(PageQuery(limit=limit, position=position))


async def messages(
    store: Store, scope: AccessScope, chat_id: ChatId, limit: int, position: Position | None = None
) -> Page[Message]:
    async with store.begin(scope, Access.READ) as tx:
        return await tx.messages.page(chat_id, PageQuery(limit=limit, position=position))


async def status(store: Store, scope: AccessScope, chat_id: ChatId, name: TurnName) -> TurnStatus:
    async with store.begin(scope, Access.READ) as tx:
        return turn_in(await tx.statuses.find(chat_id, name))

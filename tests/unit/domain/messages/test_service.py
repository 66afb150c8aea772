from uuid import uuid4

import pytest
from msgspec.structs import replace

from domain.auth.policy import Policy
from domain.chats.service import ChatDraft, ChatService
from domain.clock import SystemClock
from domain.errors import ChatNotFound, Forbidden
from domain.ids import ChatId
from domain.messages.service import MessageService
from domain.pagination import PageQuery
from tests.fakes.chats import stop_nothing
from tests.fakes.store import MemoryStore
from tests.harness.engine import MODEL, FixedCatalogue, a_user

ALL = PageQuery(limit=10)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore(SystemClock())


@pytest.fixture
def chats(store: MemoryStore) -> ChatService:
    return ChatService(store, Policy(), FixedCatalogue(MODEL), stop_nothing, SystemClock())


@pytest.fixture
def messages(store: MemoryStore) -> MessageService:
    return MessageService(store, Policy())


async def test_a_new_chat_has_no_messages(chats: ChatService, messages: MessageService) -> None:
    who = a_user()
    made = await chats.create(who, ChatDraft())
    assert (await messages.list(who, made.id, ALL)).items == ()


async def test_messages_of_missing_foreign_and_deleted_chats_are_not_found_alike(
    chats: ChatService, messages: MessageService
) -> None:
    who = a_user()
    foreign = (await chats.create(a_user(), ChatDraft())).id
    deleted = (await chats.create(who, ChatDraft())).id
    await chats.delete(who, deleted)
    for chat_id in (foreign, deleted, ChatId(uuid4())):
        with pytest.raises(ChatNotFound):
            await messages.list(who, chat_id, ALL)


async def test_a_role_nobody_knows_reads_nothing(chats: ChatService, messages: MessageService) -> None:
    who = a_user()
    made = await chats.create(who, ChatDraft())
    with pytest.raises(Forbidden):
        await messages.list(replace(who, roles=frozenset({"stranger"})), made.id, ALL)

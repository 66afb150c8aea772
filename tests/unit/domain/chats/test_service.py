"""Chats as use cases: who may do what, what is missing, and who is told of a deletion."""

from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest
from msgspec.structs import replace

from domain.auth.policy import Policy
from domain.chats.models import RunningTurn
from domain.chats.service import ChatDraft, ChatPatch, ChatService
from domain.clock import SystemClock
from domain.errors import ChatNotFound, Forbidden, InvalidModel
from domain.ids import ChatId
from domain.pagination import PageQuery
from domain.scope import AccessScope
from domain.subject import Subject
from tests.fakes.store import MemoryStore
from tests.harness.engine import MODEL, FixedCatalogue, a_user

OFF = replace(MODEL, id="off", is_default=False, enabled=False)


@pytest.fixture
def stopped() -> list[RunningTurn]:
    return []


@pytest.fixture
def chats(stopped: list[RunningTurn]) -> ChatService:
    async def stop(_: AccessScope, turn: RunningTurn) -> None:
        stopped.append(turn)

    clock = SystemClock()
    return ChatService(MemoryStore(clock), Policy(), FixedCatalogue(MODEL, OFF), stop, clock)


async def test_a_chat_is_created_with_the_model_it_keeps(chats: ChatService) -> None:
    who = a_user()
    made = await chats.create(who, ChatDraft(title="Tides", metadata={"a": "b"}, is_temporary=True))
    assert (made.model, made.title, made.metadata, made.is_temporary) == (MODEL.id, "Tides", {"a": "b"}, True)
    assert made.id.version == 7
    assert await chats.get(who, made.id) == made


async def test_a_chat_with_a_model_that_is_not_offered_is_not_made(chats: ChatService) -> None:
    who = a_user()
    with pytest.raises(InvalidModel):
        await chats.create(who, ChatDraft(model="off"))
    assert (await chats.list(who, PageQuery(limit=10))).items == ()


async def test_a_renamed_chat_has_its_new_title(chats: ChatService) -> None:
    who = a_user()
    made = await chats.create(who, ChatDraft(title="old"))
    assert (await chats.change(who, made.id, ChatPatch(title="new"))).title == "new"
    assert (await chats.get(who, made.id)).title == "new"


Use = Callable[[ChatService, Subject, ChatId], Awaitable[object]]
USES: list[Use] = [
    lambda chats, who, chat_id: chats.get(who, chat_id),
    lambda chats, who, chat_id: chats.change(who, chat_id, ChatPatch(title="mine now")),
    lambda chats, who, chat_id: chats.delete(who, chat_id),
]


@pytest.mark.parametrize("use", USES)
async def test_missing_foreign_and_deleted_chats_are_not_found_alike(chats: ChatService, use: Use) -> None:
    who = a_user()
    foreign = (await chats.create(a_user(), ChatDraft())).id
    colleague = replace(who, user_id=a_user().user_id)
    theirs = (await chats.create(colleague, ChatDraft())).id
    deleted = (await chats.create(who, ChatDraft())).id
    await chats.delete(who, deleted)
    for chat_id in (foreign, theirs, deleted, ChatId(uuid4())):
        with pytest.raises(ChatNotFound):
            await use(chats, who, chat_id)


async def test_a_viewer_reads_and_changes_nothing(chats: ChatService) -> None:
    who = a_user()
    made = await chats.create(who, ChatDraft())
    viewer = replace(who, roles=frozenset({"viewer"}))
    assert await chats.get(viewer, made.id) == made
    for use in (
        chats.create(viewer, ChatDraft()),
        chats.change(viewer, made.id, ChatPatch(title="x")),
        chats.delete(viewer, made.id),
        chats.restore(viewer, made.id),
    ):
        with pytest.raises(Forbidden):
            await use
    assert await chats.get(who, made.id) == made


async def test_deleting_a_chat_nothing_runs_in_stops_nothing(chats: ChatService, stopped: list[RunningTurn]) -> None:
    who = a_user()
    await chats.delete(who, (await chats.create(who, ChatDraft())).id)
    assert stopped == []

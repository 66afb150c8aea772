"""Deleted chats that come back, and patches of one chat, while others are at work on it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta

import anyio
import pytest

from domain.auth.policy import Policy
from domain.chats.service import ChatPatch, ChatService
from domain.clock import SystemClock
from domain.errors import ChatNotFound, GenerationInProgress, ServiceUnavailable
from domain.ids import ChatId
from domain.pagination import PageQuery
from domain.streaming.events import TurnError
from domain.subject import Subject
from domain.turns.service import Conversation
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.chats import stop_nothing
from tests.harness.auditor import audit
from tests.harness.engine import MODEL, Engine, FixedCatalogue, a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.integration.turns.books import expire_leases, only_turn
from tests.integration.turns.spoken import Spoken
from tests.integration.turns.test_finalising import finalise_through

pytestmark = pytest.mark.postgres

WHO: Subject = a_user()
ROUNDS = 20


@pytest.fixture
def spoken() -> Spoken:
    return Spoken()


@pytest.fixture
async def engine(database: Database, spoken: Spoken) -> AsyncIterator[Engine]:
    async with running_engine(database.dsn, spoken) as engine:
        yield engine
    await audit(database.superuser_dsn, [])


async def said(engine: Engine, chat_id: ChatId) -> list[str]:
    return [message.content for message in (await engine.messages.list(WHO, chat_id, PageQuery(limit=10))).items]


async def answered(engine: Engine, spoken: Spoken, chat_id: ChatId, answer: str) -> None:
    conversation = await engine.send(WHO, chat_id)
    await spoken.say(answer, conversation)
    spoken.finish()
    await read_all(conversation.reader)


async def was_cancelled(conversation: Conversation) -> bool:
    with anyio.fail_after(5):
        _, last = (await read_all(conversation.reader))[-1]
    return isinstance(last, TurnError) and last.code == "turn_cancelled"


async def unless_not_found(step: Callable[[Subject, ChatId], Awaitable[object]], chat_id: ChatId) -> None:
    try:
        await step(WHO, chat_id)
    except ChatNotFound:
        return


async def test_a_conversation_goes_on_where_it_was(engine: Engine, spoken: Spoken) -> None:
    chat_id = await a_chat(engine, WHO)
    await answered(engine, spoken, chat_id, "first")
    before = await engine.chats.get(WHO, chat_id)
    await engine.chats.delete(WHO, chat_id)
    assert await engine.chats.restore(WHO, chat_id) == before
    await answered(engine, spoken, chat_id, "second")
    assert await said(engine, chat_id) == ["Hello", "first", "Hello", "second"]
    assert [getattr(item, "text", "") for item in spoken.requests[-1].items] == ["Hello", "first", "Hello"]


async def test_a_turn_that_the_deletion_cancelled_is_ended_and_the_next_one_may_begin(
    engine: Engine, spoken: Spoken
) -> None:
    chat_id = await a_chat(engine, WHO)
    conversation = await engine.send(WHO, chat_id)
    await spoken.say("not kept", conversation)
    await engine.chats.delete(WHO, chat_id)
    assert await was_cancelled(conversation)
    assert (await engine.chats.restore(WHO, chat_id)).message_count == 1
    await answered(engine, spoken, chat_id, "anew")
    assert await said(engine, chat_id) == ["Hello", "Hello", "anew"]


async def test_a_turn_that_is_still_being_cancelled_ends_in_the_restored_chat(
    engine: Engine, database: Database, spoken: Spoken
) -> None:
    chat_id = await a_chat(engine, WHO)
    conversation = await engine.send(WHO, chat_id)
    await spoken.say("not kept", conversation)
    begin = finalise_through(engine, ServiceUnavailable(), lasting=True)
    await engine.chats.delete(WHO, chat_id)
    await begin.met()
    assert (await engine.chats.restore(WHO, chat_id)).message_count == 1
    with pytest.raises(GenerationInProgress):
        await engine.send(WHO, chat_id)
    begin.recover()
    assert await was_cancelled(conversation)
    assert (await only_turn(database, chat_id))["state"] == "cancelled"
    assert await said(engine, chat_id) == ["Hello"]


async def test_a_turn_whose_owner_never_heard_of_the_deletion_is_cancelled_all_the_same(
    engine: Engine, database: Database, spoken: Spoken
) -> None:
    chat_id = await a_chat(engine, WHO)
    conversation = await engine.send(WHO, chat_id)
    await spoken.say("saved", conversation)
    await engine.beat.beat()
    async with running_engine(database.dsn, Spoken()) as other:
        await other.chats.delete(WHO, chat_id)
        await other.chats.restore(WHO, chat_id)
        await expire_leases(database)
        await other.reaper.sweep()
    await engine.beat.beat()
    assert await was_cancelled(conversation)
    turn = await only_turn(database, chat_id)
    assert (turn["state"], turn["cancel_reason"]) == ("cancelled", "chat_deleted")
    assert await said(engine, chat_id) == ["Hello"]


async def test_deleting_and_restoring_at_once_lose_nothing(engine: Engine, spoken: Spoken) -> None:
    chat_id = await a_chat(engine, WHO)
    await answered(engine, spoken, chat_id, "there")
    before = await engine.chats.get(WHO, chat_id)
    for _ in range(ROUNDS):
        async with anyio.create_task_group() as group:
            for step in (engine.chats.delete, engine.chats.restore, engine.chats.restore):
                group.start_soon(unless_not_found, step, chat_id)
        assert await engine.chats.restore(WHO, chat_id) == before
    assert await said(engine, chat_id) == ["Hello", "there"]


async def test_a_message_to_a_chat_that_is_deleted_meanwhile_is_refused_or_its_turn_is_ended(engine: Engine) -> None:
    started: list[Conversation] = []

    async def send(who: Subject, chat_id: ChatId) -> None:
        started.append(await engine.send(who, chat_id))

    for _ in range(ROUNDS):
        started.clear()
        chat_id = await a_chat(engine, WHO)
        async with anyio.create_task_group() as group:
            for step in (send, engine.chats.delete):
                group.start_soon(unless_not_found, step, chat_id)
        for conversation in started:
            assert await was_cancelled(conversation)
        assert (await engine.chats.restore(WHO, chat_id)).message_count == len(started)


async def test_patches_at_once_all_take_effect(engine: Engine) -> None:
    chat_id = await a_chat(engine, WHO)
    patches = [
        *(ChatPatch(metadata={f"{number}": "x"}) for number in range(8)),
        ChatPatch(is_favorite=True),
        ChatPatch(title="all"),
    ]
    async with anyio.create_task_group() as group:
        for patch in patches:
            group.start_soon(engine.chats.change, WHO, chat_id, patch)
    chat = await engine.chats.get(WHO, chat_id)
    assert chat.metadata == {f"{number}": "x" for number in range(8)}
    assert (chat.is_favorite, chat.title) == (True, "all")


@pytest.mark.parametrize(("hours", "is_open"), [(0, False), (1, False), (3, True)])
async def test_the_window_that_was_configured_decides(
    engine: Engine, database: Database, hours: int, is_open: bool
) -> None:
    chat_id = await a_chat(engine, WHO)
    await engine.chats.delete(WHO, chat_id)
    async with connected(database.superuser_dsn) as connection:
        await connection.execute("UPDATE mini_chat.chats SET deleted_at = now() - interval '2 hours'")
    begin = PostgresUnitOfWork(engine.pools.requests, TransactionLimits())
    catalogue, window = FixedCatalogue(MODEL), timedelta(hours=hours)
    chats = ChatService(begin, Policy(), catalogue, stop_nothing, SystemClock(), window)
    await unless_not_found(chats.restore, chat_id)
    if is_open:
        assert (await chats.get(WHO, chat_id)).id == chat_id
    else:
        with pytest.raises(ChatNotFound):
            await chats.get(WHO, chat_id)

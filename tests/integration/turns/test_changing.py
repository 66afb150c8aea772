"""Retry, edit and delete on a real database: what comes, what goes, and what a refusal leaves alone."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
import pytest
from msgspec.structs import replace

from domain.errors import (
    ChatNotFound,
    DomainError,
    Forbidden,
    InputTooLong,
    InvalidTurnState,
    NotLatestTurn,
    RequestIdConflict,
    RequestIdReused,
    TurnNotFound,
)
from domain.ids import ChatId, RequestId
from domain.pagination import PageQuery
from domain.providers.request import AssistantText, Item, UserText
from domain.streaming.events import StreamStarted
from domain.streaming.models import StopReason
from domain.streaming.ports import OnDisconnect
from domain.subject import Subject
from domain.telemetry.trace_context import new_trace
from domain.turns.models import LATEST, TurnName, TurnState
from domain.turns.service import Conversation
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_key, a_user, read_all, running_engine, told_again
from tests.harness.postgres import Database
from tests.integration.turns.books import messages_of, turns_of

pytestmark = pytest.mark.postgres

TOO_LONG = "x" * 10_000_000
NEVER = FunctionProvider(saying("never", gate=anyio.sleep_forever))


@pytest.fixture
def provider() -> FunctionProvider:
    return FunctionProvider(saying("Yes", "."))


@pytest.fixture
async def engine(database: Database, provider: FunctionProvider) -> AsyncIterator[Engine]:
    async with running_engine(database.dsn, provider) as engine:
        yield engine


@pytest.fixture
def who() -> Subject:
    return a_user()


@pytest.fixture
async def chat_id(engine: Engine, who: Subject) -> ChatId:
    return await a_chat(engine, who)


async def ended(conversation: Conversation) -> RequestId:
    with anyio.fail_after(5):
        await read_all(conversation.reader)
    return conversation.request_id


async def said(engine: Engine, who: Subject, chat_id: ChatId) -> list[str]:
    return [message.content for message in (await engine.messages.list(who, chat_id, PageQuery(limit=10))).items]


async def test_a_retry_puts_a_new_turn_in_the_place_of_the_old_one(
    engine: Engine, who: Subject, chat_id: ChatId, database: Database
) -> None:
    old = await ended(await engine.send(who, chat_id, "Hello", metadata={"a": "b"}))
    before = (await engine.messages.list(who, chat_id, PageQuery(limit=10))).items
    conversation = await engine.change(who, chat_id, old)
    assert conversation.is_new_turn
    new = await ended(conversation)
    asked, answered = (await engine.messages.list(who, chat_id, PageQuery(limit=10))).items
    assert (asked.content, asked.metadata, asked.request_id) == ("Hello", {"a": "b"}, new)
    assert (answered.content, answered.request_id, [asked.seq, answered.seq]) == ("Yes.", new, [3, 4])
    assert {asked.id, answered.id}.isdisjoint(message.id for message in before)
    assert (await engine.chats.get(who, chat_id)).message_count == 2
    replaced = await engine.statuses.read(who, chat_id, old)
    assert (replaced.replaced_by, replaced.state, replaced.updated_at) == (
        new,
        TurnState.COMPLETED,
        replaced.deleted_at,
    )
    latest = await engine.statuses.read(who, chat_id, LATEST)
    assert (latest.request_id, latest.assistant_message_id, latest.deleted_at) == (new, answered.id, None)
    assert [turn["kind"] for turn in await turns_of(database, chat_id)] == ["send", "retry"]


async def test_an_edit_asks_something_else(
    engine: Engine, who: Subject, chat_id: ChatId, database: Database, provider: FunctionProvider
) -> None:
    key = a_key()
    await ended(await engine.send(who, chat_id, "Hello"))
    conversation = await engine.change(who, chat_id, LATEST, "Goodbye", request_id=key)
    (_, started), *_ = await read_all(conversation.reader)
    assert isinstance(started, StreamStarted)
    assert (started.request_id, started.is_new_turn) == (str(key), True)
    assert await said(engine, who, chat_id) == ["Goodbye", "Yes."]
    assert seen(provider) == [UserText("Goodbye")]
    assert [turn["kind"] for turn in await turns_of(database, chat_id)] == ["send", "edit"]


async def test_the_model_sees_neither_what_is_replaced_nor_what_is_gone(
    engine: Engine, who: Subject, chat_id: ChatId, provider: FunctionProvider
) -> None:
    await ended(await engine.send(who, chat_id, "one"))
    await ended(await engine.send(who, chat_id, "two"))
    await ended(await engine.change(who, chat_id))
    one = [UserText("one"), AssistantText("Yes.")]
    assert seen(provider) == [*one, UserText("two")]
    await ended(await engine.send(who, chat_id, "three"))
    assert seen(provider) == [*one, UserText("two"), AssistantText("Yes."), UserText("three")]
    await engine.removal.remove(who, chat_id, LATEST)
    await engine.removal.remove(who, chat_id, LATEST)
    await ended(await engine.send(who, chat_id, "four"))
    assert seen(provider) == [*one, UserText("four")]


def seen(provider: FunctionProvider) -> list[Item]:
    """By the model, the last time it was asked."""
    return list(provider.requests[-1].items)


async def test_a_search_is_asked_for_again_unless_the_retry_says_otherwise(
    engine: Engine, who: Subject, chat_id: ChatId, database: Database
) -> None:
    await ended(await engine.send(who, chat_id, web_search=True))
    await ended(await engine.change(who, chat_id))
    await ended(await engine.change(who, chat_id, web_search=False))
    await ended(await engine.change(who, chat_id))
    assert [turn["web_search"] for turn in await turns_of(database, chat_id)] == [True, True, False, False]


async def test_what_happens_when_nobody_reads_is_chosen_anew(
    engine: Engine, who: Subject, chat_id: ChatId, database: Database
) -> None:
    await ended(await engine.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE))
    await ended(await engine.change(who, chat_id))
    assert [turn["on_disconnect"] for turn in await turns_of(database, chat_id)] == ["continue", "cancel"]


@pytest.mark.parametrize("stopped_by", [StopReason.DISCONNECT, StopReason.DRAIN])
async def test_a_turn_that_did_not_complete_can_be_changed_too(
    database: Database, who: Subject, stopped_by: StopReason
) -> None:
    """Cancelled and failed."""
    async with running_engine(database.dsn, NEVER) as engine:
        chat_id = await a_chat(engine, who)
        old = await stopped(engine, await engine.send(who, chat_id), stopped_by)
        await stopped(engine, await engine.change(who, chat_id, old), stopped_by)
        assert await said(engine, who, chat_id) == ["Hello"]
        await engine.removal.remove(who, chat_id, LATEST)
        assert await said(engine, who, chat_id) == []


async def stopped(engine: Engine, conversation: Conversation, reason: StopReason) -> RequestId:
    (actor,) = engine.supervisor.running_turns()
    actor.stop(reason)
    return await ended(conversation)


async def test_a_deleted_turn_is_gone_but_for_its_status_and_its_key(
    engine: Engine, who: Subject, chat_id: ChatId
) -> None:
    kept = await ended(await engine.send(who, chat_id, "one"))
    gone = await ended(await engine.send(who, chat_id, "two"))
    await engine.removal.remove(who, chat_id, gone)
    assert await said(engine, who, chat_id) == ["one", "Yes."]
    assert (await engine.chats.get(who, chat_id)).message_count == 2
    status = await engine.statuses.read(who, chat_id, gone)
    assert (status.deleted_at, status.replaced_by) == (status.updated_at, None)
    assert (await engine.statuses.read(who, chat_id, LATEST)).request_id == kept
    with pytest.raises(RequestIdConflict) as conflict:
        await engine.send(who, chat_id, "two", request_id=gone)
    assert conflict.value.members == {"turn_state": "done"}
    with pytest.raises(NotLatestTurn):
        await engine.removal.remove(who, chat_id, gone)


async def test_the_key_of_a_replaced_turn_stays_taken(engine: Engine, who: Subject, chat_id: ChatId) -> None:
    old = await ended(await engine.send(who, chat_id))
    await ended(await engine.change(who, chat_id))
    with pytest.raises(RequestIdConflict):
        await engine.send(who, chat_id, request_id=old)
    with pytest.raises(RequestIdConflict):
        await engine.change(who, chat_id, request_id=old)


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("content", [None, "Goodbye"])
async def test_a_change_under_its_key_is_told_again(
    engine: Engine, who: Subject, chat_id: ChatId, provider: FunctionProvider, by_name: bool, content: str | None
) -> None:
    old, key = await ended(await engine.send(who, chat_id)), a_key()
    turn: TurnName = LATEST if by_name else old
    first = await read_all((await engine.change(who, chat_id, turn, content, request_id=key)).reader)
    again = await engine.change(who, chat_id, turn, content, request_id=key, on_disconnect=OnDisconnect.CONTINUE)
    assert not again.is_new_turn
    assert (await read_all(again.reader))[-1] == told_again(first[-1])
    assert len(provider.requests) == 2
    assert (await engine.statuses.read(who, chat_id, LATEST)).request_id == key


async def test_another_change_under_the_key_is_another_one(engine: Engine, who: Subject, chat_id: ChatId) -> None:
    old, key = await ended(await engine.send(who, chat_id)), a_key()
    await ended(await engine.change(who, chat_id, old, request_id=key))
    others: list[Callable[[], Awaitable[object]]] = [
        lambda: engine.send(who, chat_id, request_id=key),
        lambda: engine.change(who, chat_id, LATEST, request_id=key),
        lambda: engine.change(who, chat_id, key, request_id=key),
        lambda: engine.change(who, chat_id, old, "Hello", request_id=key),
        lambda: engine.change(who, chat_id, old, request_id=key, web_search=False),
    ]
    for other in others:
        with pytest.raises(RequestIdReused):
            await other()


async def test_a_change_under_the_key_of_one_that_runs_waits_for_nothing(database: Database, who: Subject) -> None:
    async with running_engine(database.dsn, NEVER) as engine:
        chat_id, key = await a_chat(engine, who), a_key()
        await stopped(engine, await engine.send(who, chat_id), StopReason.DISCONNECT)
        await engine.change(who, chat_id, request_id=key)
        with pytest.raises(RequestIdConflict) as conflict:
            await engine.change(who, chat_id, request_id=key)
        assert conflict.value.members == {"turn_state": "running"}


async def test_the_first_reason_to_refuse_is_told_and_a_refusal_leaves_everything_as_it_was(
    database: Database, who: Subject
) -> None:
    """api.md 3.5: chat, key, turn, running, newest, and only then what is asked."""
    async with running_engine(database.dsn, NEVER) as engine:
        chat_id = await a_chat(engine, who)
        cancelled = await stopped(engine, await engine.send(who, chat_id), StopReason.DISCONNECT)
        running = (await engine.send(who, chat_id)).request_id
        before = await everything(database, chat_id)
        refusals: list[tuple[ChatId, RequestId, RequestId | None, type[DomainError]]] = [
            (ChatId(uuid4()), cancelled, cancelled, ChatNotFound),
            (chat_id, a_key(), cancelled, RequestIdConflict),
            (chat_id, a_key(), None, TurnNotFound),
            (chat_id, running, None, InvalidTurnState),
            (chat_id, cancelled, None, NotLatestTurn),
        ]
        for where, turn, key, error in refusals:
            with pytest.raises(error):
                await engine.change(who, where, turn, TOO_LONG, request_id=key)
            if key is None:
                with pytest.raises(error):
                    await engine.removal.remove(who, where, turn)
        assert await everything(database, chat_id) == before


async def test_a_question_that_is_refused_leaves_the_old_turn(
    engine: Engine, who: Subject, chat_id: ChatId, database: Database
) -> None:
    old = await ended(await engine.send(who, chat_id))
    before = await everything(database, chat_id)
    with pytest.raises(InputTooLong):
        await engine.change(who, chat_id, old, TOO_LONG)
    assert await everything(database, chat_id) == before


async def test_nobody_else_changes_a_turn(engine: Engine, who: Subject, chat_id: ChatId) -> None:
    old = await ended(await engine.send(who, chat_id))
    for stranger in (a_user(), replace(a_user(), tenant_id=who.tenant_id)):
        with pytest.raises(ChatNotFound):
            await engine.change(stranger, chat_id, old)
        with pytest.raises(ChatNotFound):
            await engine.removal.remove(stranger, chat_id, old)
    with pytest.raises(Forbidden):
        await engine.removal.remove(replace(who, roles=frozenset({"viewer"})), chat_id, old)
    assert await said(engine, who, chat_id) == ["Hello", "Yes."]


async def test_an_answer_that_was_deleted_before_it_was_read_is_told_to_nobody(
    engine: Engine, who: Subject, chat_id: ChatId
) -> None:
    conversation = await engine.send(who, chat_id)
    await engine.supervisor.wait_idle(timedelta(seconds=5))
    await engine.removal.remove(who, chat_id, LATEST)
    with pytest.raises(RequestIdConflict):
        await engine.turns.outcome(who, conversation, new_trace())


async def test_the_turns_of_a_deleted_chat_are_not_found(engine: Engine, who: Subject, chat_id: ChatId) -> None:
    old = await ended(await engine.send(who, chat_id))
    await engine.chats.delete(who, chat_id)
    uses: list[Callable[[], Awaitable[object]]] = [
        lambda: engine.statuses.read(who, chat_id, old),
        lambda: engine.change(who, chat_id, old),
        lambda: engine.removal.remove(who, chat_id, old),
    ]
    for use in uses:
        with pytest.raises(ChatNotFound):
            await use()


async def everything(database: Database, chat_id: ChatId) -> list[Any]:
    return [await turns_of(database, chat_id), await messages_of(database, chat_id)]

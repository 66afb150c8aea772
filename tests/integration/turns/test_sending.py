"""A send from its first read to its last commit, on a real database."""

from collections.abc import AsyncIterator
from datetime import timedelta

import anyio
import pytest

from domain.errors import ChatNotFound, GenerationInProgress, RequestIdConflict, RequestIdReused
from domain.messages.models import Role
from domain.pagination import PageQuery
from domain.streaming.events import Delta, Done, StreamStarted, TurnError
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_key, a_user, read_all, running_engine, told_again
from tests.harness.postgres import Database

pytestmark = pytest.mark.postgres


@pytest.fixture
def provider() -> FunctionProvider:
    return FunctionProvider(saying("Déjà ", "vu.\n"))


@pytest.fixture
async def engine(database: Database, provider: FunctionProvider) -> AsyncIterator[Engine]:
    async with running_engine(database.dsn, provider) as engine:
        yield engine


async def test_an_answer_streams_in_order_and_is_stored_before_the_terminal_event(engine: Engine) -> None:
    who = a_user()
    chat_id = await a_chat(engine, who)
    with anyio.fail_after(5):
        events = await read_all((await engine.send(who, chat_id)).reader)
    assert [number for number, _ in events] == [1, 2, 3, 4]
    started, *deltas, done = [event for _, event in events]
    assert isinstance(started, StreamStarted)
    assert deltas == [Delta("text", "Déjà "), Delta("text", "vu.\n")]
    assert isinstance(done, Done)
    assert (done.usage.input_tokens, done.usage.output_tokens) == (11, 2)
    user, assistant = (await engine.messages.list(who, chat_id, PageQuery(limit=10))).items
    assert (user.role, user.content, user.seq) == (Role.USER, "Hello", 1)
    assert (assistant.role, assistant.content, assistant.seq) == (Role.ASSISTANT, "Déjà vu.\n", 2)
    assert str(assistant.id) == started.message_id


async def test_the_same_request_is_answered_from_the_store_without_a_second_call(
    engine: Engine, provider: FunctionProvider
) -> None:
    who, key = a_user(), a_key()
    chat_id = await a_chat(engine, who)
    with anyio.fail_after(5):
        first = await read_all((await engine.send(who, chat_id, request_id=key)).reader)
        again = await engine.send(who, chat_id, request_id=key)
        replay = await read_all(again.reader)
    assert not again.is_new_turn
    assert [number for number, _ in replay] == [1, 3, 4]
    assert replay[1][1] == Delta("text", "Déjà vu.\n")
    assert replay[-1] == told_again(first[-1])
    assert len(provider.requests) == 1


async def test_another_body_under_a_completed_key_is_refused(engine: Engine) -> None:
    who, key = a_user(), a_key()
    chat_id = await a_chat(engine, who)
    with anyio.fail_after(5):
        await read_all((await engine.send(who, chat_id, request_id=key)).reader)
    with pytest.raises(RequestIdReused):
        await engine.send(who, chat_id, "Something else", request_id=key)


async def test_the_next_send_carries_the_conversation_so_far(engine: Engine, provider: FunctionProvider) -> None:
    who = a_user()
    chat_id = await a_chat(engine, who)
    with anyio.fail_after(5):
        await read_all((await engine.send(who, chat_id, "First")).reader)
        await read_all((await engine.send(who, chat_id, "Second")).reader)
    texts = [item.text for item in provider.requests[1].items]
    assert texts == ["First", "Déjà vu.\n", "Second"]


async def test_a_foreign_chat_is_answered_as_a_missing_one(engine: Engine) -> None:
    chat_id = await a_chat(engine, a_user())
    with pytest.raises(ChatNotFound):
        await engine.send(a_user(), chat_id)


async def test_fifty_sends_at_once_start_one_turn_and_tell_the_others_why_not(database: Database) -> None:
    hold = anyio.Event()
    provider = FunctionProvider(saying("late", gate=hold.wait))
    who = a_user()
    outcomes: list[str] = []
    everybody_knows = anyio.Event()

    def note(outcome: str) -> None:
        outcomes.append(outcome)
        if len(outcomes) == 50:
            everybody_knows.set()

    async with running_engine(database.dsn, provider) as engine:
        chat_id = await a_chat(engine, who)

        async def attempt() -> None:
            try:
                conversation = await engine.send(who, chat_id)
            except GenerationInProgress:
                note("busy")
                return
            note("accepted")
            await read_all(conversation.reader)

        with anyio.fail_after(15):
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(attempt)
                await everybody_knows.wait()
                hold.set()
    assert (outcomes.count("accepted"), outcomes.count("busy")) == (1, 49)
    assert len(provider.requests) == 1


async def test_fifty_identical_requests_make_one_turn_and_one_call(database: Database) -> None:
    hold = anyio.Event()
    provider = FunctionProvider(saying("once", gate=hold.wait))
    who, key = a_user(), a_key()
    outcomes: list[str] = []
    everybody_knows = anyio.Event()

    def note(outcome: str) -> None:
        outcomes.append(outcome)
        if len(outcomes) == 50:
            everybody_knows.set()

    async with running_engine(database.dsn, provider) as engine:
        chat_id = await a_chat(engine, who)

        async def attempt() -> None:
            try:
                conversation = await engine.send(who, chat_id, request_id=key)
            except RequestIdConflict as conflict:
                note(str(conflict.members["turn_state"]))
                return
            note("accepted")
            await read_all(conversation.reader)

        with anyio.fail_after(15):
            async with anyio.create_task_group() as tasks:
                for _ in range(50):
                    tasks.start_soon(attempt)
                await everybody_knows.wait()
                hold.set()
    assert (outcomes.count("accepted"), outcomes.count("running")) == (1, 49)
    assert len(provider.requests) == 1


async def test_a_reader_that_leaves_cancels_the_turn_and_its_text_is_kept(database: Database) -> None:
    said = anyio.Event()

    async def once_then_never() -> None:
        if said.is_set():
            await anyio.sleep_forever()
        said.set()

    provider = FunctionProvider(saying("kept ", "never", gate=once_then_never))
    who = a_user()
    async with running_engine(database.dsn, provider) as engine:
        chat_id = await a_chat(engine, who)
        conversation = await engine.send(who, chat_id)
        with anyio.fail_after(5):
            received = [*await conversation.reader.receive()]
            while len(received) < 2:
                received.extend(await conversation.reader.receive())
            conversation.reader.leave()
            await engine.supervisor.wait_idle(timedelta(seconds=5))
        assert provider.closed == 1
        _, answer = (await engine.messages.list(who, chat_id, PageQuery(limit=10))).items
        assert (answer.content, answer.is_partial) == ("kept ", True)


async def test_deleting_a_chat_ends_its_running_turn_for_its_readers(database: Database) -> None:
    provider = FunctionProvider(saying("never", gate=anyio.sleep_forever))
    who = a_user()
    async with running_engine(database.dsn, provider) as engine:
        chat_id = await a_chat(engine, who)
        conversation = await engine.send(who, chat_id)
        await engine.chats.delete(who, chat_id)
        with anyio.fail_after(5):
            _, last = (await read_all(conversation.reader))[-1]
        assert isinstance(last, TurnError)
        assert last.code == "turn_cancelled"

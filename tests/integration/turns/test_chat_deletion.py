"""A chat that is deleted while a turn of it runs: the turn ends, wherever it runs, and nothing it said is kept."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest

from domain.errors import ServiceUnavailable
from domain.ids import ChatId
from domain.streaming.events import Done, TurnError
from domain.subject import Subject
from domain.turns.service import Conversation
from infra.local.bus import Exchange
from tests.harness.engine import Engine, a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.integration.turns.books import Answer, answers_of, expire_leases, only_turn, parts
from tests.integration.turns.spoken import Spoken
from tests.integration.turns.test_finalising import finalise_through

pytestmark = pytest.mark.postgres

WHO: Subject = a_user()


@pytest.fixture
def spoken() -> Spoken:
    return Spoken()


@asynccontextmanager
async def two_processes(
    database: Database, spoken: Spoken, *, connected: bool
) -> AsyncIterator[tuple[Engine, Engine, ChatId, Conversation]]:
    """The first runs a turn that has begun to speak; the second knows it from its row."""
    exchange = Exchange()
    async with (
        running_engine(database.dsn, spoken, exchange=exchange) as owner,
        running_engine(database.dsn, Spoken(), exchange=exchange if connected else None) as other,
    ):
        chat_id = await a_chat(owner, WHO)
        conversation = await owner.send(WHO, chat_id)
        await spoken.say("not to be kept", conversation)
        yield owner, other, chat_id, conversation


async def ended_unsaid(database: Database, chat_id: ChatId, conversation: Conversation) -> None:
    with anyio.fail_after(5):
        _, last = (await read_all(conversation.reader))[-1]
    assert isinstance(last, TurnError)
    assert (last.code, last.retryable) == ("turn_cancelled", False)
    turn = await only_turn(database, chat_id)
    assert (turn["state"], turn["cancel_reason"], turn["error_code"]) == ("cancelled", "chat_deleted", None)
    assert turn["assistant_message_id"] is None
    assert await answers_of(database, chat_id) == []


async def test_its_turn_ends_at_once_and_leaves_no_answer(database: Database, spoken: Spoken) -> None:
    async with two_processes(database, spoken, connected=False) as (owner, _, chat_id, conversation):
        await owner.chats.delete(WHO, chat_id)
        await ended_unsaid(database, chat_id, conversation)
        assert spoken.closed == 1


async def test_a_turn_in_another_process_ends_at_a_word(database: Database, spoken: Spoken) -> None:
    async with two_processes(database, spoken, connected=True) as (_, other, chat_id, conversation):
        await other.chats.delete(WHO, chat_id)
        await ended_unsaid(database, chat_id, conversation)


@pytest.mark.parametrize("look", [lambda owner: owner.beat.beat(), lambda owner: owner.cancel_watch.look()])
async def test_a_turn_in_a_process_out_of_reach_ends_when_it_looks_into_its_row(
    database: Database, spoken: Spoken, look: Callable[[Engine], Awaitable[None]]
) -> None:
    async with two_processes(database, spoken, connected=False) as (owner, other, chat_id, conversation):
        await other.chats.delete(WHO, chat_id)
        assert owner.supervisor.running_turns()
        await look(owner)
        await ended_unsaid(database, chat_id, conversation)


async def test_a_turn_whose_owner_is_lost_is_ended_without_what_had_been_saved(
    database: Database, spoken: Spoken
) -> None:
    async with two_processes(database, spoken, connected=False) as (owner, other, chat_id, conversation):
        await owner.beat.beat()
        assert await parts(database) == [(1, "not to be kept")]
        await other.chats.delete(WHO, chat_id)
        await expire_leases(database)
        await other.reaper.sweep()
        await owner.beat.beat()
        await ended_unsaid(database, chat_id, conversation)


async def test_a_turn_that_was_just_being_cancelled_leaves_no_answer_either(database: Database, spoken: Spoken) -> None:
    async with two_processes(database, spoken, connected=False) as (owner, _, chat_id, conversation):
        begin = finalise_through(owner, ServiceUnavailable(), lasting=True)
        conversation.reader.leave()
        await owner.chats.delete(WHO, chat_id)
        begin.recover()
        await owner.supervisor.wait_idle(timedelta(seconds=5))
        turn = await only_turn(database, chat_id)
        assert (turn["state"], turn["assistant_message_id"]) == ("cancelled", None)
        assert await answers_of(database, chat_id) == []


async def test_an_answer_that_was_complete_before_is_what_its_reader_was_told(
    database: Database, spoken: Spoken
) -> None:
    """It goes with the chat, of which nothing is seen any more."""
    async with two_processes(database, spoken, connected=False) as (owner, _, chat_id, conversation):
        begin = finalise_through(owner, ServiceUnavailable(), lasting=True)
        spoken.finish()
        await begin.met()
        await owner.chats.delete(WHO, chat_id)
        begin.recover()
        with anyio.fail_after(5):
            _, last = (await read_all(conversation.reader))[-1]
        assert isinstance(last, Done)
        assert (await only_turn(database, chat_id))["state"] == "completed"
        assert await answers_of(database, chat_id) == [Answer("not to be kept", is_partial=False)]

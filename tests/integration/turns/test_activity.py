"""`updated_at` of a chat is the time of its last activity: each step of a turn moves it, and the count goes along."""

from collections.abc import AsyncIterator
from datetime import datetime

import anyio
import pytest

from domain.ids import ChatId
from domain.subject import Subject
from domain.turns.models import LATEST
from tests.harness.engine import Engine, a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.integration.turns.books import expire_leases
from tests.integration.turns.spoken import Spoken

pytestmark = pytest.mark.postgres

WHO: Subject = a_user()


@pytest.fixture
def spoken() -> Spoken:
    return Spoken()


@pytest.fixture
async def engine(database: Database, spoken: Spoken) -> AsyncIterator[Engine]:
    async with running_engine(database.dsn, spoken) as engine:
        yield engine


class Watched:
    """A chat whose activity and count are looked at after each step."""

    def __init__(self, engine: Engine, chat_id: ChatId) -> None:
        self._engine = engine
        self._chat_id = chat_id
        self._moved: datetime | None = None

    async def moved(self, *, count: int) -> None:
        chat = await self._engine.chats.get(WHO, self._chat_id)
        assert self._moved is None or chat.updated_at > self._moved
        assert chat.message_count == count
        self._moved = chat.updated_at


async def test_sending_answering_changing_and_deleting_move_a_chat(engine: Engine, spoken: Spoken) -> None:
    chat_id = await a_chat(engine, WHO)
    watched = Watched(engine, chat_id)
    await watched.moved(count=0)
    conversation = await engine.send(WHO, chat_id)
    await watched.moved(count=1)
    await spoken.say("a", conversation)
    spoken.finish()
    await read_all(conversation.reader)
    await watched.moved(count=2)
    retried = await engine.change(WHO, chat_id)
    await watched.moved(count=1)
    spoken.finish()
    await read_all(retried.reader)
    await watched.moved(count=2)
    await engine.removal.remove(WHO, chat_id, LATEST)
    await watched.moved(count=0)


async def test_an_answer_that_is_cut_off_moves_a_chat(engine: Engine, spoken: Spoken) -> None:
    chat_id = await a_chat(engine, WHO)
    watched = Watched(engine, chat_id)
    conversation = await engine.send(WHO, chat_id)
    await spoken.say("partial", conversation)
    await watched.moved(count=1)
    await engine.cancellation.cancel(WHO, chat_id, conversation.request_id)
    await watched.moved(count=2)


async def test_a_turn_that_is_ended_for_a_lost_owner_moves_a_chat(
    engine: Engine, database: Database, spoken: Spoken
) -> None:
    chat_id = await a_chat(engine, WHO)
    watched = Watched(engine, chat_id)
    conversation = await engine.send(WHO, chat_id)
    await spoken.say("saved", conversation)
    await engine.beat.beat()
    await watched.moved(count=1)
    async with running_engine(database.dsn, Spoken()) as other:
        await expire_leases(database)
        await other.reaper.sweep()
    await watched.moved(count=2)
    await engine.beat.beat()
    with anyio.fail_after(5):
        await read_all(conversation.reader)

"""A chat without a title is called by the first line of its first message, at once (engine.md 6.4)."""

from collections.abc import AsyncIterator, Sequence

import anyio
import pytest

from domain.chats.service import ChatDraft, ChatPatch
from domain.ids import ChatId
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Failed, ProviderEvent
from domain.providers.request import ProviderRequest
from domain.telemetry.trace_context import new_trace
from domain.titles.models import TitleMode
from domain.turns.models import LATEST, SendCommand
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.integration.quotas.accounts import rows
from tests.integration.titles.chats import answered, naming_jobs, title_of

pytestmark = pytest.mark.postgres

WHO = a_user()
ANSWERS = FunctionProvider(saying("At noon."))
SILENT = FunctionProvider(saying("never", gate=anyio.sleep_forever))


async def test_the_title_is_there_before_the_answer(database: Database) -> None:
    async with running_engine(database.dsn, SILENT) as engine:
        chat_id = await a_chat(engine, WHO)
        assert await title_of(database, chat_id) == (None, None)
        await engine.send(WHO, chat_id, "  When is\nhigh tide? ")
        assert await title_of(database, chat_id) == ("When is high tide?", "first_line")
        assert (await engine.chats.get(WHO, chat_id)).title == "When is high tide?"


async def test_a_chat_that_begins_with_its_message_has_one_too(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS) as engine:
        for draft, expected in (
            (ChatDraft(), ("When is high tide?", "first_line")),
            (ChatDraft(title="Mine"), ("Mine", "user")),
        ):
            conversation = await engine.turns.send(
                WHO, SendCommand(target=draft, content="When is high tide?"), new_trace()
            )
            await read_all(conversation.reader)
            assert await title_of(database, conversation.chat_id) == expected


async def test_a_title_of_ones_own_stays(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS) as engine:
        named = (await engine.chats.create(WHO, ChatDraft(title="Mine"))).id
        await answered(engine, WHO, named)
        assert await title_of(database, named) == ("Mine", "user")
        renamed = await a_chat(engine, WHO)
        await answered(engine, WHO, renamed)
        await engine.chats.change(WHO, renamed, ChatPatch(title="Renamed"))
        await answered(engine, WHO, renamed, "And low tide?")
        assert await title_of(database, renamed) == ("Renamed", "user")


async def test_later_messages_change_nothing(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS) as engine:
        chat_id = await a_chat(engine, WHO)
        await answered(engine, WHO, chat_id)
        await answered(engine, WHO, chat_id, "And low tide?")
        await read_all((await engine.change(WHO, chat_id, content="And at night?")).reader)
    assert await title_of(database, chat_id) == ("When is high tide?", "first_line")
    assert await naming_jobs(database) == []


async def test_a_title_by_itself_goes_with_the_last_turn_that_it_tells_of(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS) as engine:
        chat_id = await a_chat(engine, WHO)
        await answered(engine, WHO, chat_id)
        await answered(engine, WHO, chat_id, "And low tide?")
        await engine.removal.remove(WHO, chat_id, LATEST)
        assert await title_of(database, chat_id) == ("When is high tide?", "first_line")
        await engine.removal.remove(WHO, chat_id, LATEST)
        assert await title_of(database, chat_id) == (None, None)
        await answered(engine, WHO, chat_id, "Hello?")
        assert await title_of(database, chat_id) == ("Hello?", "first_line")


async def test_a_title_of_ones_own_outlives_every_turn(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS) as engine:
        chat_id = (await engine.chats.create(WHO, ChatDraft(title="Mine"))).id
        await answered(engine, WHO, chat_id)
        await engine.removal.remove(WHO, chat_id, LATEST)
    assert await title_of(database, chat_id) == ("Mine", "user")


async def test_a_message_that_shows_nothing_names_nothing(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS) as engine:
        chat_id = await a_chat(engine, WHO)
        await answered(engine, WHO, chat_id, "\u200b\u2060")
        assert await title_of(database, chat_id) == (None, None)
        await answered(engine, WHO, chat_id, "Hello?")
    assert await title_of(database, chat_id) == ("Hello?", "first_line")


async def test_whoever_wants_none_gets_none(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS, titles=TitleMode.OFF) as engine:
        chat_id = await a_chat(engine, WHO)
        await answered(engine, WHO, chat_id)
    assert await title_of(database, chat_id) == (None, None)


async def test_what_a_process_writes_that_knows_no_sources_is_a_users(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS) as engine:
        chat_id = await a_chat(engine, WHO)
        await answered(engine, WHO, chat_id)
    await rows(database, "UPDATE mini_chat.chats SET title = 'Renamed' WHERE id = $1", chat_id)
    assert await title_of(database, chat_id) == ("Renamed", "user")


async def failing(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
    yield [Failed(failure=ProviderFailure(kind=FailureKind.SERVER_ERROR))]


async def test_the_first_turn_that_is_answered_leaves_a_job_and_no_other_does(database: Database) -> None:
    who = a_user()
    outcomes = iter((failing, saying("At noon."), saying("At midnight.")))

    def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        return next(outcomes)(request)

    async with running_engine(database.dsn, FunctionProvider(play), titles=TitleMode.MODEL) as engine:
        chat_id = await a_chat(engine, who)
        await answered(engine, who, chat_id)
        assert await naming_jobs(database) == []
        for _ in range(2):
            await answered(engine, who, chat_id)
            (job,) = await naming_jobs(database)
            assert (job.tenant_id, job.user_id, job.chat_id) == (who.tenant_id, who.user_id, chat_id)


async def test_a_chat_with_a_title_of_its_users_needs_no_job(database: Database) -> None:
    async with running_engine(database.dsn, ANSWERS, titles=TitleMode.MODEL) as engine:
        chat_id: ChatId = (await engine.chats.create(WHO, ChatDraft(title="Mine"))).id
        await answered(engine, WHO, chat_id)
    assert await naming_jobs(database) == []

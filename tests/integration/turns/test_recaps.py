"""A chat with a summary: what later prompts are made of, and when the summary is forgotten (engine.md 6)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from domain.errors import ContextBudgetExceeded
from domain.ids import ChatId
from domain.providers.capabilities import Capabilities
from domain.providers.request import AssistantText, ContextBlock, ProviderRequest, UserText
from domain.scope import scope_for
from domain.streaming.events import StreamStarted, SummaryApplied
from domain.turns.models import LATEST
from domain.unit_of_work import Access
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import MODEL, Engine, a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.harness.summaries import put_summary, summary_of

pytestmark = pytest.mark.postgres

WHO = a_user()
BODY = "The user keeps bees and asks about honey."


@pytest.fixture
def provider() -> FunctionProvider:
    return FunctionProvider(saying("Well."))


@pytest.fixture
async def engine(database: Database, provider: FunctionProvider) -> AsyncIterator[Engine]:
    async with running_engine(database.dsn, provider) as running:
        yield running


async def ask(engine: Engine, chat_id: ChatId, *contents: str) -> StreamStarted:
    """Each in turn; the first event of the last one."""
    for content in contents:
        conversation = await engine.send(WHO, chat_id, content)
        (_, started), *_ = await read_all(conversation.reader)
    assert isinstance(started, StreamStarted)
    return started


async def a_summarised_chat(engine: Engine, database: Database, turns: int, covered: int) -> ChatId:
    chat_id = await a_chat(engine, WHO)
    await ask(engine, chat_id, *(f"question {number}" for number in range(turns)))
    await put_summary(database.superuser_dsn, WHO.tenant_id, chat_id, 2 * covered, BODY)
    return chat_id


async def plan_of_newest(database: Database, chat_id: ChatId) -> dict[str, Any]:
    async with connected(database.superuser_dsn) as connection:
        row = await connection.fetchrow(
            "SELECT plan_tokens, turns_dropped, summary_applied, est_input_tokens FROM mini_chat.chat_turns"
            " WHERE chat_id = $1 ORDER BY user_seq DESC LIMIT 1",
            chat_id,
        )
    assert row is not None
    return dict(row)


def shows(request: ProviderRequest, text: str) -> bool:
    return any(text in item.text for item in request.items) or text in (request.instructions or "")


async def test_a_prompt_is_the_summary_and_all_turns_beyond_it(
    engine: Engine, provider: FunctionProvider, database: Database
) -> None:
    chat_id = await a_summarised_chat(engine, database, turns=3, covered=2)
    started = await ask(engine, chat_id, "now")
    request = provider.requests[-1]
    block, *said = request.items
    assert isinstance(block, ContextBlock)
    assert BODY in block.text
    assert said == [UserText("question 2"), AssistantText("Well."), UserText("now")]
    assert request.instructions is not None
    assert block.text.splitlines()[0] in request.instructions
    assert started.thread_summary_applied == SummaryApplied(len(BODY) // 4)
    plan = await plan_of_newest(database, chat_id)
    assert (plan["turns_dropped"], plan["summary_applied"]) == (0, True)
    assert plan["plan_tokens"] == plan["est_input_tokens"]


async def test_each_request_has_markers_of_its_own(
    engine: Engine, provider: FunctionProvider, database: Database
) -> None:
    chat_id = await a_summarised_chat(engine, database, turns=1, covered=1)
    await ask(engine, chat_id, "one", "two")
    assert len({request.items[0].text.splitlines()[0] for request in provider.requests[-2:]}) == 2


async def test_a_chat_without_a_summary_says_nothing_of_one(
    engine: Engine, provider: FunctionProvider, database: Database
) -> None:
    chat_id = await a_chat(engine, WHO)
    started = await ask(engine, chat_id, "one", "two")
    assert started.thread_summary_applied is None
    assert provider.requests[-1].instructions is None
    plan = await plan_of_newest(database, chat_id)
    assert (plan["turns_dropped"], plan["summary_applied"]) == (0, False)


async def test_the_summary_of_another_tenant_is_no_part_of_it(
    engine: Engine, provider: FunctionProvider, database: Database
) -> None:
    stranger = a_user()
    theirs = await a_chat(engine, stranger)
    await put_summary(database.superuser_dsn, stranger.tenant_id, theirs, 2, BODY)
    await ask(engine, await a_chat(engine, WHO), "one")
    assert not shows(provider.requests[-1], BODY)


async def test_a_summary_that_does_not_fit_is_left_out_and_not_told_of(database: Database) -> None:
    provider = FunctionProvider(saying("Well."))
    small = replace(MODEL, max_input_tokens=160)
    async with running_engine(database.dsn, provider, models=(small,)) as engine:
        chat_id = await a_summarised_chat(engine, database, turns=1, covered=1)
        started = await ask(engine, chat_id, "now")
    assert started.thread_summary_applied is None
    assert provider.requests[-1].items == (UserText("now"),)


async def test_a_message_that_the_provider_does_not_carry_is_refused_before_anything_is_written(
    database: Database,
) -> None:
    provider = FunctionProvider(saying("Well."), Capabilities(max_message_chars=10))
    async with running_engine(database.dsn, provider) as engine:
        chat_id = await a_chat(engine, WHO)
        with pytest.raises(ContextBudgetExceeded):
            await ask(engine, chat_id, "m" * 11)
    assert provider.requests == []


async def test_a_removed_turn_that_the_summary_covers_takes_the_summary_with_it(
    engine: Engine, provider: FunctionProvider, database: Database
) -> None:
    chat_id = await a_summarised_chat(engine, database, turns=3, covered=2)
    await engine.removal.remove(WHO, chat_id, LATEST)
    assert await summary_of(database.superuser_dsn, chat_id) == (BODY, 4, 1)
    await engine.removal.remove(WHO, chat_id, LATEST)
    assert await summary_of(database.superuser_dsn, chat_id) == ("", 0, 2)
    await ask(engine, chat_id, "now")
    assert not shows(provider.requests[-1], BODY)
    assert not shows(provider.requests[-1], "question 1")
    assert shows(provider.requests[-1], "question 0")


async def test_a_changed_turn_beyond_the_summary_is_asked_again_with_it(
    engine: Engine, provider: FunctionProvider, database: Database
) -> None:
    chat_id = await a_summarised_chat(engine, database, turns=3, covered=2)
    conversation = await engine.change(WHO, chat_id, content="another question")
    await read_all(conversation.reader)
    assert shows(provider.requests[-1], BODY)
    assert not shows(provider.requests[-1], "question 2")


@pytest.mark.parametrize("content", [None, "another question"])
async def test_a_changed_turn_that_the_summary_covers_takes_the_summary_with_it(
    engine: Engine, provider: FunctionProvider, database: Database, content: str | None
) -> None:
    chat_id = await a_summarised_chat(engine, database, turns=2, covered=2)
    conversation = await engine.change(WHO, chat_id, content=content)
    await read_all(conversation.reader)
    assert await summary_of(database.superuser_dsn, chat_id) == ("", 0, 2)
    assert not shows(provider.requests[-1], BODY)
    assert shows(provider.requests[-1], "question 0")
    await ask(engine, chat_id, "now")
    assert not shows(provider.requests[-1], BODY)
    assert shows(provider.requests[-1], content or "question 1")


async def test_only_the_newest_turns_are_read_and_the_next_one_is_known_to_be_there(
    database: Database, engine: Engine
) -> None:
    chat_id = await a_chat(engine, WHO)
    await ask(engine, chat_id, *(f"question {number}" for number in range(4)))
    begin = PostgresUnitOfWork(engine.pools.requests, TransactionLimits())
    async with begin(scope_for(WHO), Access.READ) as tx:
        assert (await tx.turns.history(chat_id, 4, 1_000)).left_out_seq is None
        newest = await tx.turns.history(chat_id, 2, 1_000)
        narrow = await tx.turns.history(chat_id, 4, len("question 3Well."))
        nothing = await tx.turns.history(chat_id, 4, 1)
    assert [each.user_text for each in newest.exchanges] == ["question 2", "question 3"]
    assert newest.left_out_seq == 3
    assert [each.user_text for each in narrow.exchanges] == ["question 3"]
    assert narrow.left_out_seq == 5
    assert (nothing.exchanges, nothing.left_out_seq) == ([], 7)

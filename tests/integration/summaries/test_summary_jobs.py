"""Which answers leave a summary job behind, and what becomes of a chat whose job keeps failing (engine.md 6.3, 9)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from uuid import uuid4

import msgspec
import pytest
from msgspec.structs import replace

from domain.ids import ChatId
from domain.jobs.payloads import Job, SummariseThread
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent
from domain.providers.request import ProviderRequest
from domain.scope import scope_for
from domain.summaries.service import Summarising
from domain.summaries.trigger import SummaryRules
from domain.telemetry.ports import Counted
from tests.fakes.providers import FunctionProvider, Play, saying
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.auditor import audit
from tests.harness.engine import MODEL, Engine, a_chat, a_user, running_engine
from tests.harness.eventually import eventually
from tests.harness.jobs import enqueue, runner, transactions
from tests.harness.postgres import Database
from tests.harness.rows import connected, insert
from tests.harness.statements import StatementCounter
from tests.harness.summaries import noting, summarising, summary_of, talk, the_job
from tests.harness.system_calls import system_desk

pytestmark = pytest.mark.postgres

WHO = a_user()
FEW = SummaryRules(keep_turns=1)
"""Every answer but the first of a chat wants a summary where prompts have no more room than this."""
SMALL = replace(MODEL, max_input_tokens=140)
MOST_AFTER = 6


async def jobs_left(database: Database) -> list[SummariseThread]:
    async with connected(database.superuser_dsn) as connection:
        rows = await connection.fetch(
            "SELECT payload FROM mini_chat.jobs WHERE entrypoint = 'thread_summary' AND status = 'queued' ORDER BY id"
        )
    return [msgspec.json.decode(row["payload"], type=SummariseThread) for row in rows]


async def talked(engine: Engine, turns: int) -> ChatId:
    chat_id = await a_chat(engine, WHO)
    await talk(engine, WHO, chat_id, *(f"question {number}" for number in range(turns)))
    return chat_id


async def test_a_crowded_prompt_leaves_a_job_for_all_but_the_newest_turn(database: Database) -> None:
    telemetry = CountingTelemetry()
    provider = FunctionProvider(saying("Well."))
    async with running_engine(database.dsn, provider, models=(SMALL,), summaries=FEW, telemetry=telemetry) as engine:
        chat_id = await talked(engine, 2)
        (job,) = await jobs_left(database)
    assert (job.tenant_id, job.user_id, job.chat_id) == (WHO.tenant_id, WHO.user_id, chat_id)
    assert (job.covers_seq, job.target_seq) == (0, 2)
    assert telemetry.of(Counted.THREAD_SUMMARY_TRIGGER) == {("scheduled",): 1}


async def test_further_answers_leave_no_second_job_for_the_same_summary(database: Database) -> None:
    provider = FunctionProvider(saying("Well."))
    async with running_engine(database.dsn, provider, models=(SMALL,), summaries=FEW) as engine:
        await talked(engine, 5)
        assert len(await jobs_left(database)) == 1


@pytest.mark.parametrize("rules", [SummaryRules(enabled=False), SummaryRules(keep_turns=50)])
async def test_where_nothing_is_to_be_summarised_there_is_no_job(database: Database, rules: SummaryRules) -> None:
    provider = FunctionProvider(saying("Well."))
    async with running_engine(database.dsn, provider, summaries=rules) as engine:
        await talked(engine, 3)
        assert await jobs_left(database) == []


async def test_where_summaries_are_switched_off_there_is_no_job(database: Database) -> None:
    provider = FunctionProvider(saying("Well."))
    async with running_engine(database.dsn, provider, models=(SMALL,), summaries=FEW) as engine:
        async with connected(database.superuser_dsn) as connection:
            await insert(
                connection,
                "kill_switches",
                id=uuid4(),
                scope="feature",
                target="summary",
                version=1,
                mode="admission",
                reason="cost",
                created_by=WHO.user_id,
            )
        await engine.board.refresh()
        await talked(engine, 3)
        assert await jobs_left(database) == []


async def failed(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
    yield [Failed(failure=ProviderFailure(kind=FailureKind.SERVER_ERROR))]


async def silent(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
    yield [Completed(finish=Finish.CONTENT_FILTER)]


@pytest.mark.parametrize("play", [failed, silent])
async def test_a_turn_that_later_prompts_will_not_show_leaves_no_job(database: Database, play: Play) -> None:
    provider = FunctionProvider(saying("Well."))
    async with running_engine(database.dsn, provider, models=(SMALL,), summaries=FEW) as engine:
        chat_id = await talked(engine, 1)
    async with running_engine(database.dsn, FunctionProvider(play), models=(SMALL,), summaries=FEW) as engine:
        await talk(engine, WHO, chat_id, "question 1")
        assert await jobs_left(database) == []


async def test_the_job_costs_the_end_of_a_turn_one_statement(database: Database) -> None:
    provider = FunctionProvider(saying("Well."))
    async with running_engine(database.dsn, provider, models=(SMALL,), summaries=FEW) as engine:
        for _ in range(3):
            await talked(engine, 2)
        chat_id = await talked(engine, 1)
        async with StatementCounter(engine.pools.reserved) as counter:
            await talk(engine, WHO, chat_id, "question 1")
    assert sum("jobs" in statement for statement in counter.statements) == 1
    assert counter.count <= MOST_AFTER


class OnlyFor:
    """A summary job that is no business of others."""

    def __init__(self, summarising: Summarising) -> None:
        self._summarising = summarising

    async def handle(self, job: Job) -> None:
        assert isinstance(job, SummariseThread)
        await self._summarising.summarise(job)


async def dead_letters(database: Database) -> list[str]:
    async with connected(database.superuser_dsn) as connection:
        rows = await connection.fetch(
            "SELECT traceback ->> 'exception_message' AS code FROM mini_chat.job_log"
            " WHERE entrypoint = 'thread_summary' AND status = 'failed'"
        )
    return [row["code"] for row in rows]


async def test_a_chat_that_cannot_be_summarised_goes_on_and_another_is_summarised(database: Database) -> None:
    async def picky(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        poisoned = "poison" in "".join(item.text for item in request.items)
        async for batch in (failed if poisoned else noting("Purpose: honey."))(request):
            yield batch

    notes, chat = FunctionProvider(picky), FunctionProvider(saying("Well."))
    async with AsyncExitStack() as stack:
        engine = await stack.enter_async_context(running_engine(database.dsn, chat, models=(SMALL,), summaries=FEW))
        desk = await stack.enter_async_context(system_desk(database.dsn, notes))
        await stack.enter_async_context(runner(database.dsn, OnlyFor(summarising(desk, notes)).handle).running())
        poisoned, healthy = await a_chat(engine, WHO), await a_chat(engine, WHO)
        await talk(engine, WHO, poisoned, "poison", "question 1")
        await talk(engine, WHO, healthy, "question 0", "question 1")
        await eventually(lambda: dead_letters(database))
        assert await eventually(lambda: summary_of(database.superuser_dsn, healthy)) == ("Purpose: honey.", 2, 1)
        assert len([each for each in notes.requests if "poison" in each.items[0].text]) == 3
        await talk(engine, WHO, poisoned, "question 2")
        assert chat.requests[-1].items[-1].text == "question 2"
        await eventually(lambda: two(database))
        assert await summary_of(database.superuser_dsn, poisoned) is None
    await audit(database.superuser_dsn, ())


async def two(database: Database) -> bool:
    return len(await dead_letters(database)) == 2


async def test_dead_jobs_of_one_summary_are_let_go_again_beside_a_waiting_one(database: Database) -> None:
    chat_id = ChatId(WHO.user_id)
    async with transactions(database.dsn) as begin, connected(database.superuser_dsn) as connection:
        for target_seq in (2, 4, 6):
            await connection.execute("UPDATE mini_chat.jobs SET status = 'failed'")
            await enqueue(begin, the_job(WHO, chat_id, target_seq))
        async with begin(scope_for(WHO)) as tx:
            assert await tx.dead_jobs.redrive_some("thread_summary", 10) == 2
        assert len(await jobs_left(database)) == 3

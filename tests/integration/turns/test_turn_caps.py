"""No user runs more turns at the same time than the cap, however many processes open them."""

from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import timedelta

import anyio
import pytest
from msgspec.structs import replace

from domain.chats.service import ChatDraft
from domain.errors import InputTooLong, RateLimited, ServiceUnavailable, TooManyActiveTurns
from domain.limits.rates import Quotas
from domain.limits.standings import standings_noted
from domain.scope import scope_for
from domain.subject import Subject
from domain.telemetry.trace_context import new_trace
from domain.turns.models import SendCommand
from domain.turns.service import Conversation
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.limits import counting
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import MODEL, Engine, a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.harness.rows import connected

pytestmark = pytest.mark.postgres

CAP = 3
NEVER = FunctionProvider(saying("never", gate=anyio.sleep_forever))


async def new_chat(engine: Engine, who: Subject) -> Conversation:
    return await engine.turns.send(who, SendCommand(target=ChatDraft(), content="Hello"), new_trace())


@asynccontextmanager
async def replicas(database: Database, number: int, caps: Quotas) -> AsyncIterator[list[Engine]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(running_engine(database.dsn, NEVER, caps=caps)) for _ in range(number)]


async def admitted(*attempts: Awaitable[Conversation]) -> int:
    """How many of these, all at once, were not refused for the cap."""
    accepted = 0

    async def attempt(work: Awaitable[Conversation]) -> None:
        nonlocal accepted
        with suppress(TooManyActiveTurns):
            await work
            accepted += 1

    async with anyio.create_task_group() as tasks:
        for work in attempts:
            tasks.start_soon(attempt, work)
    return accepted


async def rows(database: Database, table: str) -> int:
    async with connected(database.superuser_dsn) as connection:
        number: int = await connection.fetchval(f"SELECT count(*) FROM mini_chat.{table}")  # noqa: S608 - our own word
    return number


async def test_three_processes_run_no_more_than_the_cap_of_a_user(database: Database) -> None:
    who = a_user()
    async with replicas(database, 3, Quotas(active_turns=CAP)) as engines:
        chats = [await a_chat(engine, who) for engine in engines for _ in range(3)]
        into_chats = [engine.send(who, chat) for engine, chat in zip(engines * 3, chats, strict=True)]
        into_new_ones = [new_chat(engine, who) for engine in engines * 3]
        assert await admitted(*into_chats, *into_new_ones) == CAP
        assert await rows(database, "chat_turns") == CAP
        assert await admitted(new_chat(engines[0], a_user())) == 1


async def test_a_refused_send_leaves_nothing_and_counts_for_no_rate(database: Database) -> None:
    who = a_user()
    rates = counting(Quotas(sends=2))
    async with running_engine(database.dsn, NEVER, rates=rates, caps=Quotas(active_turns=1)) as engine:
        await new_chat(engine, who)
        chat_id = await a_chat(engine, who)
        for _ in range(3):
            with pytest.raises(TooManyActiveTurns) as refusal:
                await engine.send(who, chat_id)
            assert refusal.value.members == {"violated_policies": ("active-turns",)}
            assert refusal.value.retry_after == timedelta(seconds=1)
        assert await rows(database, "messages") == 1
        await engine.supervisor.end_all()
        await engine.send(who, chat_id)
        with pytest.raises(RateLimited):
            await engine.send(who, await a_chat(engine, who))


async def test_openings_of_one_user_wait_for_each_other_and_for_nobody_else(database: Database) -> None:
    who = a_user()
    async with replicas(database, 1, Quotas()) as (engine,):
        chat_id = await a_chat(engine, who)
        begin = PostgresUnitOfWork(engine.pools.requests, TransactionLimits())
        async with begin(scope_for(who)) as opening:
            await opening.turns.queue_up()
            for waiting in (engine.send(who, chat_id), new_chat(engine, who)):
                with pytest.raises(ServiceUnavailable):
                    await waiting
            await new_chat(engine, replace(a_user(), tenant_id=who.tenant_id))
        await engine.send(who, chat_id)


async def test_a_turn_that_ended_makes_room(database: Database) -> None:
    who = a_user()
    at_once = FunctionProvider(saying("Hello"))
    async with running_engine(database.dsn, at_once, caps=Quotas(active_turns=1)) as engine:
        chat_id = await a_chat(engine, who)
        for _ in range(3):
            await read_all((await engine.send(who, chat_id)).reader)
        await read_all((await engine.change(who, chat_id)).reader)


async def test_a_tenant_has_a_cap_of_its_own(database: Database) -> None:
    who = a_user()
    async with replicas(database, 1, Quotas(active_turns=CAP, tenant_active_turns=CAP + 1)) as (engine,):
        for _ in range(CAP):
            await new_chat(engine, who)
        await new_chat(engine, replace(a_user(), tenant_id=who.tenant_id))
        with pytest.raises(TooManyActiveTurns) as refusal:
            await new_chat(engine, replace(a_user(), tenant_id=who.tenant_id))
        assert refusal.value.members == {"violated_policies": ("tenant-active-turns",)}
        await new_chat(engine, a_user())


async def test_of_two_refusals_the_cap_comes_before_the_length(database: Database) -> None:
    who = a_user()
    too_long = "x" * (MODEL.max_input_tokens * 4 + 4)
    async with replicas(database, 1, Quotas(active_turns=1)) as (engine,):
        chat_id = await a_chat(engine, who)
        with pytest.raises(InputTooLong):
            await engine.send(who, chat_id, too_long)
        await new_chat(engine, who)
        with pytest.raises(TooManyActiveTurns):
            await engine.send(who, chat_id, too_long)


async def test_an_accepted_send_tells_how_many_more_may_run(database: Database) -> None:
    who = a_user()
    async with replicas(database, 1, Quotas(active_turns=CAP)) as (engine,):
        for left in (2, 1, 0):
            with standings_noted() as noted:
                await new_chat(engine, who)
            assert noted.latest["active-turns"].remaining == left

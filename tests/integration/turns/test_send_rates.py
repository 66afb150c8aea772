"""What counts as a send: what was accepted, once, and nothing else (api.md 1.4, engine.md 2.2)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest

from domain.chats.service import ChatDraft
from domain.errors import (
    ChatNotFound,
    DomainError,
    GenerationInProgress,
    InputTooLong,
    QuotaExceeded,
    RateLimited,
    RequestIdReused,
    ServiceUnavailable,
)
from domain.ids import ChatId
from domain.limits.rates import Quotas, Rates
from domain.quotas.limits import Limits, TierLimits
from domain.quotas.models import QuotaRules
from domain.scope import scope_for
from domain.streaming.models import StreamLimits
from domain.telemetry.trace_context import new_trace
from domain.turns.models import SendCommand
from tests.fakes.limits import counting
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import MODEL, RULES, Engine, a_chat, a_key, a_user, read_all, running_engine
from tests.harness.postgres import Database

pytestmark = pytest.mark.postgres

QUOTA = 3
NEVER = FunctionProvider(saying("never", gate=anyio.sleep_forever))
AT_ONCE = FunctionProvider(saying("Hello"))
TOO_LONG = "x" * (MODEL.max_input_tokens * 4 + 4)


class Counted:
    """An engine, and a user of it with so many sends a minute."""

    def __init__(self, engine: Engine, rates: Rates) -> None:
        self.engine, self._rates, self.who = engine, rates, a_user()

    async def told(self, chat_id: ChatId, **members: Any) -> None:
        await read_all((await self.engine.send(self.who, chat_id, **members)).reader)

    async def left(self) -> int:
        """Found out by taking them."""
        for taken in range(QUOTA + 1):
            try:
                await self._rates.take_send(scope_for(self.who))
            except RateLimited:
                return taken
        raise AssertionError("more was left than the quota")


@asynccontextmanager
async def counted(
    database: Database,
    provider: FunctionProvider = AT_ONCE,
    limits: StreamLimits | None = None,
    rules: QuotaRules = RULES,
) -> AsyncIterator[Counted]:
    rates = counting(Quotas(sends=QUOTA))
    async with running_engine(database.dsn, provider, rates=rates, limits=limits, rules=rules) as engine:
        yield Counted(engine, rates)


async def test_a_send_a_retry_and_an_edit_count_one_each(database: Database) -> None:
    async with counted(database) as world:
        chat_id = await a_chat(world.engine, world.who)
        await world.told(chat_id)
        await read_all((await world.engine.change(world.who, chat_id)).reader)
        await read_all((await world.engine.change(world.who, chat_id, content="Again")).reader)
        for refused in (world.engine.send(world.who, chat_id), world.engine.change(world.who, chat_id)):
            with pytest.raises(RateLimited) as refusal:
                await refused
            assert refusal.value.members == {"violated_policies": ("sends",)}


async def test_a_replay_counts_for_nothing_and_works_when_nothing_is_left(database: Database) -> None:
    async with counted(database) as world:
        chat_id, key = await a_chat(world.engine, world.who), a_key()
        await world.told(chat_id, request_id=key)
        for _ in range(QUOTA):
            await world.told(chat_id, request_id=key)
        assert await world.left() == QUOTA - 1
        await world.told(chat_id, request_id=key)
        with pytest.raises(RequestIdReused):
            await world.engine.send(world.who, chat_id, "Other", request_id=key)


@pytest.mark.parametrize("refusal", [ChatNotFound, GenerationInProgress, InputTooLong, ServiceUnavailable])
async def test_a_refused_send_counts_for_nothing(database: Database, refusal: type[DomainError]) -> None:
    limits = StreamLimits(max_running=1) if refusal is ServiceUnavailable else None
    async with counted(database, NEVER, limits) as world:
        chat_id = await a_chat(world.engine, world.who)
        other = ChatId(a_key()) if refusal is ChatNotFound else await a_chat(world.engine, world.who)
        await world.engine.send(world.who, chat_id)
        target = chat_id if refusal is GenerationInProgress else other
        with pytest.raises(refusal):
            await world.engine.send(world.who, target, TOO_LONG if refusal is InputTooLong else "Hello")
        assert await world.left() == QUOTA - 1


async def test_of_two_refusals_the_rate_comes_before_the_length(database: Database) -> None:
    async with counted(database) as world:
        chat_id = await a_chat(world.engine, world.who)
        for _ in range(QUOTA):
            await world.told(chat_id)
        with pytest.raises(RateLimited):
            await world.engine.send(world.who, chat_id, TOO_LONG)
        with pytest.raises(ChatNotFound):
            await world.engine.send(world.who, ChatId(a_key()))


async def test_without_credits_a_send_counts_for_nothing_until_the_rate_is_used_up(database: Database) -> None:
    broke = QuotaRules(defaults=Limits(total=TierLimits(limit_daily_credits_micro=0)))
    async with counted(database, rules=broke) as world:
        chat_id = await a_chat(world.engine, world.who)
        for _ in range(QUOTA + 1):
            with pytest.raises(QuotaExceeded):
                await world.engine.send(world.who, chat_id)
        assert await world.left() == QUOTA
        with pytest.raises(RateLimited):
            await world.engine.send(world.who, chat_id)


async def test_of_sends_that_race_into_one_chat_only_the_winner_counts(database: Database) -> None:
    async with counted(database, NEVER) as world:
        chat_id = await a_chat(world.engine, world.who)
        lost: list[DomainError] = []

        async def send() -> None:
            try:
                await world.engine.send(world.who, chat_id)
            except GenerationInProgress as refusal:
                lost.append(refusal)

        async with anyio.create_task_group() as tasks:
            for _ in range(QUOTA):
                tasks.start_soon(send)
        assert len(lost) == QUOTA - 1
        assert await world.left() == QUOTA - 1


async def test_many_sends_at_once_are_accepted_up_to_the_quota(database: Database) -> None:
    async with counted(database, NEVER) as world:
        accepted: list[bool] = []

        async def send() -> None:
            command = SendCommand(target=ChatDraft(), content="Hello")
            try:
                await world.engine.turns.send(world.who, command, new_trace())
            except RateLimited:
                accepted.append(False)
            else:
                accepted.append(True)

        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(send)
        assert sorted(accepted) == [False] * (20 - QUOTA) + [True] * QUOTA
        assert len(world.engine.supervisor.running_turns()) == QUOTA

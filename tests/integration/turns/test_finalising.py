"""Closing the books while the database comes and goes: one commit, and readers are told what it came to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Literal

import anyio
import pytest

from domain.errors import ServiceUnavailable
from domain.scope import AccessScope
from domain.streaming.events import Done, TurnError
from domain.turns.ports import TurnTx
from domain.unit_of_work import Access, LostRace, OutcomeUnknown, TransactionConflict, UnitOfWork
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_user, read_all, running_engine
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.integration.turns.books import Answer, answers_of, expire_leases, only_turn, turns_of

pytestmark = pytest.mark.postgres

Fault = Exception | Literal["answer lost"]


class FaultyBegin:
    """A unit of work whose next transactions meet these faults, one each, and the last one for ever if `lasting`."""

    def __init__(self, begin: UnitOfWork[TurnTx], *faults: Fault, lasting: bool = False) -> None:
        self._begin = begin
        self._faults = list(faults)
        self._lasting = lasting
        self.begun = 0

    @asynccontextmanager
    async def __call__(self, scope: AccessScope, access: Access = Access.WRITE) -> AsyncIterator[TurnTx]:
        self.begun += 1
        fault = self._next()
        if isinstance(fault, Exception):
            raise fault
        async with self._begin(scope, access) as tx:
            yield tx
        if fault is not None:
            raise OutcomeUnknown

    def recover(self) -> None:
        self._faults.clear()

    async def met(self) -> None:
        """Returns once a transaction has been tried."""
        await until(lambda: self.begun > 0)

    def _next(self) -> Fault | None:
        if not self._faults:
            return None
        return self._faults[0] if self._lasting and len(self._faults) == 1 else self._faults.pop(0)


def finalise_through(engine: Engine, *faults: Fault, lasting: bool = False) -> FaultyBegin:
    books: Any = engine.supervisor._books
    finaliser = books._finaliser
    finaliser._begin = FaultyBegin(finaliser._begin, *faults, lasting=lasting)
    begin: FaultyBegin = finaliser._begin
    return begin


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    limit = timedelta(milliseconds=300)
    async with running_engine(database.dsn, FunctionProvider(saying("a")), finalise_deadline=limit) as engine:
        yield engine


PASSING: list[Fault] = [ServiceUnavailable(), TransactionConflict(), LostRace("ux"), "answer lost"]


@pytest.mark.parametrize("fault", PASSING, ids=repr)
async def test_a_fault_that_passes_costs_the_reader_nothing_but_time(
    engine: Engine, database: Database, fault: Fault
) -> None:
    """With `answer lost` the first commit did happen: the second attempt finds its own row and writes nothing."""
    begin = finalise_through(engine, fault)
    who = a_user()
    chat_id = await a_chat(engine, who)
    with anyio.fail_after(5):
        _, last = (await read_all((await engine.send(who, chat_id)).reader))[-1]
    assert isinstance(last, Done)
    assert begin.begun == 2
    assert (await only_turn(database, chat_id))["state"] == "completed"
    assert await answers_of(database, chat_id) == [Answer("a", is_partial=False)]


async def test_books_that_cannot_be_closed_in_time_are_left_to_the_reaper(engine: Engine, database: Database) -> None:
    begin = finalise_through(engine, ServiceUnavailable(), lasting=True)
    who = a_user()
    chat_id = await a_chat(engine, who)
    with anyio.fail_after(5):
        _, last = (await read_all((await engine.send(who, chat_id)).reader))[-1]
    assert isinstance(last, TurnError)
    assert (last.code, last.retryable, last.retry_after_ms) == ("internal_error", True, 20_000)
    assert begin.begun > 1
    assert (await only_turn(database, chat_id))["state"] == "running"
    await expire_leases(database)
    await engine.reaper.sweep()
    assert (await only_turn(database, chat_id))["error_code"] == "orphan_timeout"


async def test_a_turn_that_cannot_be_reaped_delays_only_itself(database: Database) -> None:
    """Whatever is wrong with it: the fault here is one that nobody foresaw."""
    who = a_user()
    provider = FunctionProvider(saying("never", gate=anyio.sleep_forever))
    async with running_engine(database.dsn, provider) as engine:
        chats = [await a_chat(engine, who) for _ in range(3)]
        for chat_id in chats:
            await engine.send(who, chat_id)
        await expire_leases(database)
        reaper: Any = engine.reaper
        reaper._begin = FaultyBegin(reaper._begin, LookupError())
        await engine.reaper.sweep()
        states = [turn["state"] for chat_id in chats for turn in await turns_of(database, chat_id)]
        assert sorted(states) == ["failed", "failed", "running"]

"""A turn goes over to another model while its row is in the hands of others: it is billed as the row says."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import anyio
import pytest
from msgspec.structs import replace

from domain.errors import ServiceUnavailable
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, TextDelta, Usage
from domain.providers.request import ProviderRequest
from domain.scope import AccessScope
from domain.streaming.events import Done, StreamEvent, TurnError
from domain.turns.ports import TurnTx
from tests.fakes.providers import FunctionProvider
from tests.harness.auditor import audit
from tests.harness.engine import MODEL, Engine, a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.harness.rows import connected, insert
from tests.integration.turns.books import only_turn
from tests.integration.turns.test_finalising import Fault, FaultyBegin

pytestmark = pytest.mark.postgres

SPARE = replace(
    MODEL,
    id="spare",
    is_default=False,
    input_tokens_credit_multiplier_micro=3_000_000,
    output_tokens_credit_multiplier_micro=9_000_000,
)
MODELS = (replace(MODEL, fallback_model="spare"), SPARE)

Meanwhile = Callable[[Engine], Awaitable[object]]


class Play:
    """The first model is overloaded, once `meanwhile` has happened; the other one answers."""

    def __init__(self, meanwhile: Meanwhile) -> None:
        self.engine: Engine | None = None
        self.provider = FunctionProvider(self._play)
        self._meanwhile = meanwhile

    async def _play(self, request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        if request.catalog_model == MODEL.id:
            assert self.engine is not None
            await self._meanwhile(self.engine)
            yield [Failed(failure=ProviderFailure(kind=FailureKind.OVERLOADED))]
        else:
            yield [TextDelta("B"), Completed(finish=Finish.STOP, usage=Usage(input_tokens=10, output_tokens=2))]


async def played(
    database: Database, meanwhile: Meanwhile, limit: timedelta = timedelta(seconds=10)
) -> tuple[StreamEvent, Any, list[str]]:
    """The terminal event, the row, and the models that were called."""
    play, who = Play(meanwhile), a_user()
    async with running_engine(database.dsn, play.provider, models=MODELS, finalise_deadline=limit) as engine:
        play.engine = engine
        chat_id = await a_chat(engine, who)
        with anyio.fail_after(10):
            events = await read_all((await engine.send(who, chat_id)).reader)
    await audit(database.superuser_dsn, [])
    return events[-1][1], await only_turn(database, chat_id), [each.catalog_model for each in play.provider.requests]


def marking_through(*faults: Fault, lasting: bool = False) -> Meanwhile:
    async def meanwhile(engine: Engine) -> None:
        books: Any = engine.supervisor._books
        books._mark._begin = FaultyBegin(books._mark._begin, *faults, lasting=lasting)

    return meanwhile


@pytest.mark.parametrize(
    "faults", [(), (ServiceUnavailable(),), ("answer lost",), ("answer lost", ServiceUnavailable())]
)
async def test_the_row_names_and_prices_the_model_that_answers(database: Database, faults: tuple[Fault, ...]) -> None:
    done, row, called = await played(database, marking_through(*faults))
    assert isinstance(done, Done)
    assert (done.effective_model, called) == ("spare", [MODEL.id, "spare"])
    assert (row["effective_model"], row["went_over_from"], row["settled_micro"]) == ("spare", MODEL.id, 10 * 3 + 2 * 9)


@pytest.mark.parametrize("first", ["answer lost", ServiceUnavailable()])
async def test_a_turn_that_may_have_gone_over_and_did_not_call_stays_with_its_model(
    database: Database, first: Fault
) -> None:
    gone = marking_through(first, ServiceUnavailable(), lasting=True)
    told, row, called = await played(database, gone, timedelta(seconds=2))
    assert isinstance(told, TurnError)
    assert (told.code, called) == ("provider_unavailable", [MODEL.id])
    assert (row["effective_model"], row["went_over_from"], row["in_mult_micro"]) == (MODEL.id, None, 1_000_000)


async def test_what_names_the_other_model_waits_for_the_disk(database: Database) -> None:
    waits = []
    async with connected(database.superuser_dsn) as connection:
        await connection.execute(f"ALTER DATABASE {database.name} SET synchronous_commit = on")

    async def watched(engine: Engine) -> None:
        books: Any = engine.supervisor._books
        begin = books._mark._begin

        @asynccontextmanager
        async def watching(scope: AccessScope) -> AsyncIterator[TurnTx]:
            async with begin(scope) as tx:
                yield tx
                (row,) = await tx.turns._connection.exec_driver_sql("SHOW synchronous_commit")
                waits.append(row[0])

        books._mark._begin = watching

    await played(database, watched)
    assert waits == ["on"]


async def abort_spare(database: Database) -> None:
    async with connected(database.superuser_dsn) as connection:
        await insert(
            connection,
            "kill_switches",
            id=uuid4(),
            scope="model",
            target="spare",
            version=1,
            mode="abort",
            reason="a test",
            created_by=uuid4(),
        )


async def test_a_cancellation_that_another_process_noted_keeps_the_other_model_from_being_called(
    database: Database,
) -> None:
    async def cancelled(_: Engine) -> None:
        async with connected(database.superuser_dsn) as connection:
            await connection.execute(
                "UPDATE mini_chat.chat_turns SET cancel_requested_at = now(), cancel_reason = 'cancel_requested'"
            )

    told, row, called = await played(database, cancelled)
    assert isinstance(told, TurnError)
    assert (told.code, called) == ("turn_cancelled", [MODEL.id])
    assert (row["state"], row["effective_model"], row["went_over_from"]) == ("cancelled", MODEL.id, None)


async def test_a_model_that_is_switched_off_while_a_turn_goes_over_to_it_is_not_called(database: Database) -> None:
    async def switched_off(engine: Engine) -> None:
        books: Any = engine.supervisor._books
        begin = books._mark._begin

        @asynccontextmanager
        async def slow(scope: AccessScope) -> AsyncIterator[TurnTx]:
            async with begin(scope) as tx:
                yield tx
            await abort_spare(database)
            await engine.board.refresh()
            assert engine.enforcement.look() == []

        books._mark._begin = slow

    told, row, called = await played(database, switched_off)
    assert isinstance(told, TurnError)
    assert (told.code, called) == ("generation_disabled", [MODEL.id])
    assert (row["effective_model"], row["settlement"]) == ("spare", "released")


async def test_a_turn_that_somebody_else_owns_by_now_is_not_touched(database: Database) -> None:
    async def taken(_: Engine) -> None:
        async with connected(database.superuser_dsn) as connection:
            await connection.execute("UPDATE mini_chat.chat_turns SET owner_epoch = owner_epoch + 1")

    play, who = Play(taken), a_user()
    async with running_engine(database.dsn, play.provider, models=MODELS) as engine:
        play.engine = engine
        chat_id = await a_chat(engine, who)
        with anyio.fail_after(10):
            (*_, (_, told)) = await read_all((await engine.send(who, chat_id)).reader)
    assert isinstance(told, TurnError)
    row = await only_turn(database, chat_id)
    assert (told.code, row["state"], row["effective_model"]) == ("internal_error", "running", MODEL.id)
    assert len(play.provider.requests) == 1

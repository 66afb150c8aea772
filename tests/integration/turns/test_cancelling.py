"""A turn cancelled on request, on a real database: by its own process and by others, at every moment of its life."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import anyio
import pytest
from typing_extensions import override

from domain.errors import ServiceUnavailable
from domain.ids import ChatId
from domain.scope import AccessScope
from domain.streaming.events import Delta, TurnError
from domain.streaming.ports import OnDisconnect
from domain.turns.cancellation import CancelReceipt
from domain.turns.models import LATEST, PUBLIC_STATES, TurnState
from domain.turns.ports import CancellationTx
from domain.unit_of_work import Access
from infra.local.bus import Exchange
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.chance import seeded
from tests.harness.engine import Engine, a_chat, a_user, read_all, running_engine
from tests.harness.eventually import eventually, until
from tests.harness.postgres import Database
from tests.integration.turns.books import Answer, answers_of, expire_leases, only_turn
from tests.integration.turns.spoken import Spoken
from tests.integration.turns.test_races import told

pytestmark = pytest.mark.postgres

NEVER: Final = saying("never", gate=anyio.sleep_forever)
ALMOST_AT_ONCE: Final = timedelta(milliseconds=100)
LONGEST_BREATH_S: Final = 0.02
RACES: Final = 150


@asynccontextmanager
async def two_processes(
    database: Database, first: FunctionProvider, *, connected: bool = True, **settings: Any
) -> AsyncIterator[tuple[Engine, Engine]]:
    exchange = Exchange()
    async with (
        running_engine(database.dsn, first, exchange=exchange, **settings) as one,
        running_engine(
            database.dsn, FunctionProvider(NEVER), exchange=exchange if connected else None, **settings
        ) as other,
    ):
        yield one, other


async def flagged(database: Database, chat_id: ChatId) -> None:
    """Returns when the request is in the row."""

    async def is_flagged() -> bool:
        return (await only_turn(database, chat_id))["cancel_requested_at"] is not None

    await eventually(is_flagged)


async def test_the_flag_is_written_and_the_receipt_tells_what_the_row_says(database: Database) -> None:
    spoken, who = Spoken(), a_user()
    async with running_engine(database.dsn, spoken) as engine:
        chat_id = await a_chat(engine, who)
        conversation = await engine.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        await spoken.say("Once upon ", conversation)
        with anyio.fail_after(5):
            receipt = await engine.cancellation.cancel(who, chat_id, LATEST)
            events = await read_all(conversation.reader)
        turn = await only_turn(database, chat_id)
    assert (turn["state"], turn["cancel_reason"]) == ("cancelled", "cancel_requested")
    assert turn["cancel_requested_at"] is not None
    assert receipt == CancelReceipt(
        state=TurnState.CANCELLED,
        upstream_closed_ms=turn["upstream_closed_ms"],
        tokens_generated=turn["output_tokens"],
        charged_micro=turn["settled_micro"],
        released_micro=turn["reserved_micro"] - turn["settled_micro"],
    )
    assert receipt.charged_micro > 0
    assert receipt.upstream_closed_ms is not None
    assert receipt.tokens_generated > 0
    assert await answers_of(database, chat_id) == [Answer("Once upon ", is_partial=True)]
    (_, last), *_ = reversed(events)
    assert isinstance(last, TurnError)
    assert last.code == "turn_cancelled"
    assert spoken.closed == 1


async def test_a_second_cancel_at_the_same_time_gets_the_same_receipt_and_a_later_one_no_closing(
    database: Database,
) -> None:
    who = a_user()
    receipts: list[CancelReceipt] = []
    async with running_engine(database.dsn, FunctionProvider(NEVER)) as engine:
        chat_id = await a_chat(engine, who)
        conversation = await engine.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)

        async def cancel() -> None:
            receipts.append(await engine.cancellation.cancel(who, chat_id, conversation.request_id))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(cancel)
            before = await only_turn(database, chat_id)
            await cancel()
        *together, later = receipts
        assert {receipt.state for receipt in receipts} == {TurnState.CANCELLED}
        assert {receipt.upstream_closed_ms for receipt in together} <= {before["upstream_closed_ms"], None}
        assert later.upstream_closed_ms is None
        assert await only_turn(database, chat_id) == before


async def test_a_turn_without_a_connection_tells_no_closing(database: Database) -> None:
    class Connecting(FunctionProvider):
        """Never gets to sending its request."""

        @override
        @asynccontextmanager
        async def stream(self, request: Any, control: Any) -> AsyncIterator[Any]:
            await anyio.sleep_forever()
            yield

    who = a_user()
    async with running_engine(database.dsn, Connecting(NEVER)) as engine:
        chat_id = await a_chat(engine, who)
        await engine.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        with anyio.fail_after(5):
            receipt = await engine.cancellation.cancel(who, chat_id, LATEST)
    held_micro = (await only_turn(database, chat_id))["reserved_micro"]
    assert receipt == CancelReceipt(state=TurnState.CANCELLED, released_micro=held_micro)
    assert await answers_of(database, chat_id) == []


async def test_another_process_cancels_it_over_the_bus(database: Database) -> None:
    spoken, who = Spoken(), a_user()
    async with two_processes(database, spoken) as (one, other):
        chat_id = await a_chat(one, who)
        conversation = await one.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        await spoken.say("Once upon ", conversation)
        with anyio.fail_after(5):
            receipt = await other.cancellation.cancel(who, chat_id, LATEST)
        turn = await only_turn(database, chat_id)
    assert receipt.state is TurnState.CANCELLED
    assert receipt.upstream_closed_ms == turn["upstream_closed_ms"] is not None
    assert await answers_of(database, chat_id) == [Answer("Once upon ", is_partial=True)]


async def test_without_a_bus_the_owner_finds_the_flag_by_looking(database: Database) -> None:
    who = a_user()
    receipts: list[CancelReceipt] = []
    provider = FunctionProvider(NEVER)
    async with two_processes(database, provider, connected=False) as (one, other):
        chat_id = await a_chat(one, who)
        await one.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        await until(lambda: bool(provider.requests))
        await one.cancel_watch.look()
        assert one.supervisor.running_turns()

        async def cancel() -> None:
            receipts.append(await other.cancellation.cancel(who, chat_id, LATEST))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel)
                await flagged(database, chat_id)
                await one.cancel_watch.look()
    assert [receipt.state for receipt in receipts] == [TurnState.CANCELLED]
    assert receipts[0].upstream_closed_ms is not None


async def test_the_look_for_flags_passes_over_what_others_own_or_have_ended(database: Database) -> None:
    who = a_user()
    provider = FunctionProvider(NEVER)
    async with two_processes(database, provider, connected=False, receipt_wait=ALMOST_AT_ONCE) as (one, other):
        chat_id = await a_chat(one, who)
        await one.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        await until(lambda: bool(provider.requests))
        (actor,) = one.supervisor.running_turns()
        receipt = await other.cancellation.cancel(who, chat_id, LATEST)
        assert receipt == CancelReceipt(state=TurnState.RUNNING)
        flags = one.cancel_watch._flags
        assert set(await flags.raised([actor.brief])) == {actor.brief.turn_id}
        await expire_leases(database)
        await other.reaper.sweep()
        assert await flags.raised([actor.brief]) == {}
        turn = await only_turn(database, chat_id)
        assert (turn["state"], turn["owner_epoch"]) == ("cancelled", 2)


async def test_a_cancel_before_the_turn_has_started_here_still_stops_it(database: Database) -> None:
    """Between the commit that made the turn and its first step, in the process that is about to run it."""
    who = a_user()
    async with running_engine(database.dsn, FunctionProvider(NEVER)) as engine:
        chat_id = await a_chat(engine, who)
        conversation = await engine.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        (actor,) = engine.supervisor.running_turns()
        del engine.supervisor._turns[actor.brief.turn_id]
        receipts: list[CancelReceipt] = []

        async def cancel() -> None:
            receipts.append(await engine.cancellation.cancel(who, chat_id, conversation.request_id))

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(cancel)
                await flagged(database, chat_id)
                engine.supervisor._turns[actor.brief.turn_id] = actor
        assert [receipt.state for receipt in receipts] == [TurnState.CANCELLED]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("where", ["owner", "elsewhere"])
async def test_a_cancel_that_races_completion_has_one_winner_and_receipt_row_and_stream_agree(
    database: Database, where: str
) -> None:
    who, winners, chance = a_user(), set[str](), seeded("the moments of the cancels")

    async def breath() -> None:
        await anyio.sleep(chance.uniform(0, LONGEST_BREATH_S))

    async with two_processes(database, FunctionProvider(saying("a", "b", "c", gate=breath))) as (one, other):
        asked = one if where == "owner" else other

        async def race(delay_s: float) -> None:
            chat_id = await a_chat(one, who)
            receipts: list[CancelReceipt] = []
            conversation = await one.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)

            async def cancel() -> None:
                await anyio.sleep(delay_s)
                receipts.append(await asked.cancellation.cancel(who, chat_id, conversation.request_id))

            with anyio.fail_after(10):
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(cancel)
                    events = [event for _, event in await read_all(conversation.reader)]
            turn = await only_turn(database, chat_id)
            state = PUBLIC_STATES[TurnState(turn["state"])]
            assert told(events[-1]) == (state, turn["error_code"])
            (receipt,) = receipts
            assert (PUBLIC_STATES[receipt.state], receipt.tokens_generated) == (state, turn["output_tokens"])
            assert receipt.upstream_closed_ms in {None, turn["upstream_closed_ms"]}
            text = "".join(event.content for event in events if isinstance(event, Delta))
            stored = [Answer(text, is_partial=state != "done")] if text or state == "done" else []
            assert await answers_of(database, chat_id) == stored
            winners.add(state)

        for _ in range(RACES // 10):
            async with anyio.create_task_group() as tasks:
                for _ in range(10):
                    tasks.start_soon(race, chance.uniform(0, 3 * LONGEST_BREATH_S))
    assert winners == {"done", "cancelled"}


async def test_a_cancel_whose_caller_goes_away_takes_effect_all_the_same(database: Database) -> None:
    who = a_user()
    async with two_processes(database, FunctionProvider(NEVER), connected=False) as (one, other):
        chat_id = await a_chat(one, who)
        await one.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        with anyio.move_on_after(0.3) as call:
            await other.cancellation.cancel(who, chat_id, LATEST)
        assert call.cancelled_caught
        await one.cancel_watch.look()
        await until(lambda: not one.supervisor.running_turns())
        assert (await only_turn(database, chat_id))["state"] == "cancelled"


async def test_requests_that_hold_every_connection_delay_no_cancel(database: Database) -> None:
    def exhausted(scope: AccessScope, access: Access = Access.WRITE) -> AbstractAsyncContextManager[CancellationTx]:
        raise ServiceUnavailable

    who = a_user()
    async with running_engine(database.dsn, FunctionProvider(NEVER)) as engine:
        chat_id = await a_chat(engine, who)
        await engine.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        engine.cancellation._begin = exhausted
        with anyio.fail_after(2):
            receipt = await engine.cancellation.cancel(who, chat_id, LATEST)
    assert receipt.state is TurnState.CANCELLED

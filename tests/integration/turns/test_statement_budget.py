"""What a turn costs the database: reliability.md 8, and decision 16."""

import time
from collections.abc import AsyncIterator, Sequence

import anyio
import pytest

from domain.chats.service import ChatDraft
from domain.ids import ChatId
from domain.providers.events import ProviderEvent, TextDelta
from domain.providers.request import ProviderRequest
from domain.streaming.events import Done
from domain.streaming.ports import OnDisconnect
from domain.telemetry.trace_context import new_trace
from domain.titles.models import TitleMode
from domain.turns.models import LATEST, SendCommand
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_key, a_user, read_all, running_engine
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.harness.statements import StatementCounter
from tests.integration.turns.spoken import Spoken

pytestmark = pytest.mark.postgres

MOST_BEFORE, MARK, MOST_AFTER = 7, 2, 6
MOST_BEFORE_A_CHANGE, MOST_OF_A_DELETION = 9, 5
MANY, SENDERS, BEAT_WITHIN_S = 1_000, 8, 1.0
WHO = a_user()


async def costs(engine: Engine, spoken: Spoken, command: SendCommand, deltas: int) -> tuple[int, int, int]:
    """Statements until the provider is called, while it answers, and from the end of the answer on."""
    pools, calls = (engine.pools.requests, engine.pools.reserved), len(spoken.requests)
    async with StatementCounter(*pools) as before:
        conversation = await engine.turns.send(WHO, command, new_trace())
        await until(lambda: len(spoken.requests) > calls)
    async with StatementCounter(*pools) as meanwhile:
        for _ in range(deltas):
            await spoken.say("a", conversation)
    async with StatementCounter(*pools) as after:
        spoken.finish()
        _, last = (await read_all(conversation.reader))[-1]
    assert isinstance(last, Done)
    return before.count - MARK, meanwhile.count, after.count


async def know_the_types(engine: Engine, spoken: Spoken) -> None:
    """A connection learns the types of a statement's values once."""
    for _ in range(3):
        await costs(engine, spoken, SendCommand(target=ChatDraft(), content="Hello"), deltas=1)


@pytest.mark.parametrize("keyed", [True, False])
@pytest.mark.parametrize("creating", [True, False])
@pytest.mark.parametrize("deltas", [1, 100])
async def test_a_turn_stays_within_its_statements_and_a_delta_costs_none(
    database: Database, *, keyed: bool, creating: bool, deltas: int
) -> None:
    spoken = Spoken()
    async with running_engine(database.dsn, spoken) as engine:
        target: ChatId | ChatDraft = ChatDraft() if creating else await a_chat(engine, WHO)
        command = SendCommand(target=target, content="Hello", request_id=a_key() if keyed else None)
        await know_the_types(engine, spoken)
        before, meanwhile, after = await costs(engine, spoken, command, deltas)
    assert 0 < before <= MOST_BEFORE
    assert meanwhile == 0
    assert 0 < after <= MOST_AFTER


async def test_a_turn_that_has_its_chat_named_stays_within_its_statements(database: Database) -> None:
    spoken = Spoken()
    async with running_engine(database.dsn, spoken, titles=TitleMode.MODEL) as engine:
        await know_the_types(engine, spoken)
        before, _, after = await costs(engine, spoken, SendCommand(target=ChatDraft(), content="Hello"), deltas=1)
    assert 0 < before <= MOST_BEFORE
    assert 0 < after <= MOST_AFTER


async def test_a_longer_conversation_costs_no_more_statements(database: Database) -> None:
    spoken = Spoken()
    async with running_engine(database.dsn, spoken) as engine:
        command = SendCommand(target=await a_chat(engine, WHO), content="Hello")
        await know_the_types(engine, spoken)
        paid = [await costs(engine, spoken, command, deltas=1) for _ in range(5)]
    assert paid == [paid[0]] * 5


async def test_a_change_stays_within_its_statements(database: Database) -> None:
    spoken = Spoken()
    async with running_engine(database.dsn, spoken) as engine:
        await know_the_types(engine, spoken)
        chat_id = await a_chat(engine, WHO)
        await costs(engine, spoken, SendCommand(target=chat_id, content="Hello"), deltas=1)
        calls = len(spoken.requests)
        async with StatementCounter(engine.pools.requests, engine.pools.reserved) as change:
            conversation = await engine.change(WHO, chat_id)
            await until(lambda: len(spoken.requests) > calls)
        spoken.finish()
        await read_all(conversation.reader)
        async with StatementCounter(engine.pools.requests, engine.pools.reserved) as deletion:
            await engine.removal.remove(WHO, chat_id, LATEST)
    assert 0 < change.count - MARK <= MOST_BEFORE_A_CHANGE
    assert 0 < deletion.count <= MOST_OF_A_DELETION


async def test_a_replay_reads_once_and_calls_no_provider(database: Database) -> None:
    spoken = Spoken()
    async with running_engine(database.dsn, spoken) as engine:
        command = SendCommand(target=await a_chat(engine, WHO), content="Hello", request_id=a_key())
        await costs(engine, spoken, command, deltas=1)
        async with StatementCounter(engine.pools.requests, engine.pools.reserved) as replay:
            await engine.turns.send(WHO, command, new_trace())
    assert 0 < replay.count <= 3
    assert len(spoken.requests) == 1


async def test_a_beat_costs_the_same_for_one_turn_and_for_many(database: Database) -> None:
    provider = FunctionProvider(saying("never", gate=anyio.sleep_forever))
    async with running_engine(database.dsn, provider) as engine:
        counts: list[int] = []
        for number in range(3):
            await engine.send(WHO, await a_chat(engine, WHO))
            # Its mark that it calls comes before, over the same pool.
            await until(lambda: len(provider.requests) > number)  # noqa: B023 - awaited at once
            # A connection learns the types of a statement's values once.
            await engine.beat.beat()
            async with StatementCounter(engine.pools.reserved) as beat:
                await engine.beat.beat()
            counts.append(beat.count)
    assert counts == [counts[0]] * 3
    assert counts[0] <= 3


async def one_word_then_silence(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
    yield [TextDelta("word ")]
    await anyio.sleep_forever()


async def start(engine: Engine, turns: int) -> None:
    """Returns when all turns that run have said their word. Users of their own, since one user's sends queue up."""
    command = SendCommand(target=ChatDraft(), content="Hello", on_disconnect=OnDisconnect.CONTINUE)

    async def send_some() -> None:
        who = a_user()
        for _ in range(turns // SENDERS):
            await engine.turns.send(who, command, new_trace())

    async with anyio.create_task_group() as senders:
        for _ in range(SENDERS):
            senders.start_soon(send_some)
    await until(lambda: all(actor.transcript.text for actor in engine.supervisor.running_turns()))


async def timed_beat(engine: Engine) -> tuple[list[str], float]:
    async with StatementCounter(engine.pools.requests, engine.pools.reserved) as beat:
        started = time.perf_counter()
        await engine.beat.beat()
        took_s = time.perf_counter() - started
    return [statement for statement in beat.statements if not statement.startswith("BEGIN")], took_s


@pytest.mark.timeout(90)
async def test_the_leases_of_a_thousand_turns_cost_one_statement_a_beat(database: Database) -> None:
    """And one more for what their answers have grown by."""
    async with running_engine(database.dsn, FunctionProvider(one_word_then_silence)) as engine:
        await start(engine, SENDERS)
        # A connection learns the types of a statement's values once.
        await engine.beat.beat()
        await start(engine, MANY - SENDERS)
        growing, growing_s = await timed_beat(engine)
        quiet, quiet_s = await timed_beat(engine)
        async with connected(database.superuser_dsn) as connection:
            renewed = "SELECT count(*) FROM mini_chat.chat_turns WHERE lease_until > now() + interval '15 s'"
            assert await connection.fetchval(renewed) == MANY
            assert await connection.fetchval("SELECT count(*) FROM mini_chat.turn_parts") == MANY
        assert len(engine.supervisor.running_turns()) == MANY
    print(f"{MANY} leases renewed in {quiet_s * 1000:.0f} ms, with text to save in {growing_s * 1000:.0f} ms")  # noqa: T201 - the number is the point
    assert len(quiet) == 1, quiet
    assert len(growing) == 2, growing
    assert max(growing_s, quiet_s) < BEAT_WITHIN_S

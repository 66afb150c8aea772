"""What an ended turn is charged: by what it used, once, where it was held, whoever ends it."""

from collections.abc import AsyncIterator, Sequence

import anyio
import pytest

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, TextDelta, Usage
from domain.providers.request import ProviderRequest
from domain.streaming.events import Done, TurnError
from domain.streaming.ports import OnDisconnect
from domain.telemetry.ports import Counted
from tests.fakes.providers import FunctionProvider, saying
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.engine import a_chat, a_user, read_all, running_engine
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.integration.quotas.accounts import FLOOR, HELLO_MICRO, HELLO_TOKENS, audited, bucket, rows
from tests.integration.turns.books import expire_leases, only_turn

pytestmark = pytest.mark.postgres

WHO = a_user()
NEVER = saying("never", gate=anyio.sleep_forever)


def ending_with(*events: ProviderEvent) -> FunctionProvider:
    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield list(events)

    return FunctionProvider(play)


def completed(input_tokens: int | None, output_tokens: int | None) -> Completed:
    return Completed(finish=Finish.STOP, usage=Usage(input_tokens=input_tokens, output_tokens=output_tokens))


TEXT = TextDelta("x" * 400)
TOO_LONG = Failed(failure=ProviderFailure(kind=FailureKind.CONTEXT_LENGTH, detail="too long"))
BROKEN = Failed(failure=ProviderFailure(kind=FailureKind.REJECTED, detail="no"))
CHARGES = [
    ((TEXT, completed(100, 7)), "actual", 107, False),
    ((TEXT, completed(HELLO_MICRO, 0)), "actual", HELLO_MICRO, False),
    ((TEXT, completed(9 * HELLO_MICRO, 7)), "actual", HELLO_MICRO, True),
    ((TEXT, Completed(finish=Finish.STOP)), "estimated", HELLO_TOKENS + 100, False),
    ((TEXT, completed(0, 0)), "estimated", HELLO_TOKENS + 100, False),
    ((TEXT, completed(-5, None)), "estimated", HELLO_TOKENS + 100, False),
    ((TEXT, completed(20, None)), "estimated", 20 + 100, False),
    ((BROKEN,), "estimated", HELLO_TOKENS + FLOOR, False),
    ((TEXT,), "estimated", HELLO_TOKENS + 100, False),
    ((TOO_LONG,), "released", 0, False),
]


@pytest.mark.parametrize(("events", "settlement", "micro", "capped"), CHARGES)
async def test_each_ending_is_charged_as_the_table_says(
    database: Database, events: tuple[ProviderEvent, ...], settlement: str, micro: int, capped: bool
) -> None:
    async with running_engine(database.dsn, ending_with(*events)) as engine:
        chat_id = await a_chat(engine, WHO)
        await read_all((await engine.send(WHO, chat_id)).reader)
    turn, counted = await only_turn(database, chat_id), await bucket(database)
    assert (turn["settlement"], turn["settled_micro"], turn["capped"]) == (settlement, micro, capped)
    assert (counted["spent_micro"], counted["reserved_micro"]) == (micro, 0)
    assert counted["calls"] == (settlement != "released")
    await audited(database)


async def test_a_turn_whose_cancellation_is_asked_for_before_the_call_calls_nobody(database: Database) -> None:
    """The flag stands in the row before the mark: the word on the bus may never have come."""
    provider = FunctionProvider(saying("a"))
    async with running_engine(database.dsn, provider) as engine:
        chat_id = await a_chat(engine, WHO)
        await rows(
            database,
            """CREATE FUNCTION mini_chat.flag() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN NEW.cancel_requested_at := now(); NEW.cancel_reason := 'cancel_requested'; RETURN NEW; END $$;
            """,
        )
        await rows(
            database,
            "CREATE TRIGGER flag BEFORE INSERT ON mini_chat.chat_turns FOR EACH ROW EXECUTE FUNCTION mini_chat.flag()",
        )
        last = (await read_all((await engine.send(WHO, chat_id)).reader))[-1][1]
    assert isinstance(last, TurnError)
    assert last.code == "turn_cancelled"
    assert provider.requests == []
    turn = await only_turn(database, chat_id)
    assert (turn["provider_started_at"], turn["settlement"], turn["settled_micro"]) == (None, "released", 0)
    await audited(database)


@pytest.mark.parametrize("was_called", [True, False])
async def test_a_lost_turn_is_charged_its_estimate_if_its_provider_may_have_been_called(
    database: Database, was_called: bool
) -> None:
    async with running_engine(database.dsn, FunctionProvider(NEVER)) as engine:
        chat_id = await a_chat(engine, WHO)
        await engine.send(WHO, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        await until(lambda: any(actor.control.called for actor in engine.supervisor.running_turns()))
        if not was_called:
            await rows(database, "UPDATE mini_chat.chat_turns SET provider_started_at = NULL")
        await expire_leases(database)
        await engine.reaper.sweep()
        turn = await only_turn(database, chat_id)
    expected = ("estimated", HELLO_TOKENS + FLOOR) if was_called else ("released", 0)
    assert (turn["settlement"], turn["settled_micro"], turn["billing_outcome"]) == (*expected, "aborted")
    await audited(database)


async def test_a_turn_that_began_yesterday_is_settled_yesterday(database: Database) -> None:
    gate = anyio.Event()
    async with running_engine(database.dsn, FunctionProvider(saying("a", gate=gate.wait))) as engine:
        conversation = await engine.send(WHO, await a_chat(engine, WHO))
        for table in (
            "quota_buckets SET period_start = period_start - 1",
            "chat_turns SET period_day = period_day - 1",
        ):
            where = "WHERE period_type = 'daily'" if table.startswith("quota") else ""
            await rows(database, f"UPDATE mini_chat.{table} {where}")
        await rows(database, "UPDATE mini_chat.ledger_entries SET period_day = period_day - 1")
        gate.set()
        await read_all(conversation.reader)
    days = await rows(
        database, "SELECT period_start < now()::date FROM mini_chat.quota_buckets WHERE period_type = 'daily'"
    )
    assert [row[0] for row in days] == [True]
    assert (await bucket(database))["spent_micro"] == 11 + 1
    await audited(database)


async def test_prices_that_change_meanwhile_change_nothing_for_a_running_turn(database: Database) -> None:
    """Settled by what stands in its row (I-36)."""
    async with running_engine(database.dsn, FunctionProvider(NEVER)) as engine:
        chat_id = await a_chat(engine, WHO)
        await engine.send(WHO, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        await until(lambda: any(actor.control.called for actor in engine.supervisor.running_turns()))
        await expire_leases(database)
        async with running_engine(database.dsn, FunctionProvider(NEVER), models=()) as heir:
            await heir.reaper.sweep()
        assert (await only_turn(database, chat_id))["settled_micro"] == HELLO_TOKENS + FLOOR
    await audited(database)


BOTH = ("daily", "monthly")
SHORTENED = [
    ("DELETE FROM mini_chat.quota_buckets WHERE period_type = 'daily'", {"daily": HELLO_MICRO}),
    ("UPDATE mini_chat.quota_buckets SET reserved_micro = 5", dict.fromkeys(BOTH, HELLO_MICRO - 5)),
    ("DELETE FROM mini_chat.quota_buckets", dict.fromkeys(BOTH, HELLO_MICRO)),
    ("UPDATE mini_chat.quota_buckets SET spent_micro = 0", {}),
]


@pytest.mark.parametrize("owner_lost", [False, True])
@pytest.mark.parametrize(("bending", "missing"), SHORTENED)
async def test_a_counter_that_is_missing_or_short_keeps_no_turn_from_its_end_and_is_in_the_ledger(
    database: Database, bending: str, missing: dict[str, int], owner_lost: bool
) -> None:
    gate, telemetry = anyio.Event(), CountingTelemetry()
    provider = FunctionProvider(saying("a", gate=gate.wait))
    async with running_engine(database.dsn, provider, telemetry=telemetry) as engine:
        conversation = await engine.send(WHO, await a_chat(engine, WHO))
        await rows(database, bending)
        if owner_lost:
            await expire_leases(database)
            await engine.reaper.sweep()
        else:
            gate.set()
            assert isinstance((await read_all(conversation.reader))[-1][1], Done)
        query = "SELECT * FROM mini_chat.ledger_entries WHERE kind = 'adjust' ORDER BY period_type"
        entries = await rows(database, query)
    assert {entry["period_type"]: -entry["released_micro"] for entry in entries} == missing
    assert {(entry["credits_micro"], entry["bucket"], entry["subject_id"]) for entry in entries} <= {
        (0, "total", WHO.user_id)
    }
    assert telemetry.of(Counted.QUOTA_HOLD_MISMATCH) == {(period,): 1 for period in missing}
    await audited(database)


async def test_a_counter_that_is_short_gives_back_no_more_than_it_has(database: Database) -> None:
    """Of two turns that hold, the first to end takes what is there; the ledger tells what was not."""
    gate = anyio.Event()
    async with running_engine(database.dsn, FunctionProvider(saying("a", gate=gate.wait))) as engine:
        conversations = [await engine.send(WHO, await a_chat(engine, WHO)) for _ in range(2)]
        await rows(database, "UPDATE mini_chat.quota_buckets SET reserved_micro = reserved_micro - 7")
        gate.set()
        for conversation in conversations:
            await read_all(conversation.reader)
    entries = await rows(database, "SELECT released_micro FROM mini_chat.ledger_entries WHERE kind = 'adjust'")
    assert [entry[0] for entry in entries] == [-7, -7]
    await audited(database)


@pytest.mark.parametrize(
    ("input_tokens", "counted"),
    [(HELLO_MICRO, None), (HELLO_MICRO + 1, Counted.QUOTA_OVERSHOOT), (9 * HELLO_MICRO, Counted.QUOTA_CAPPED)],
)
async def test_what_was_charged_beyond_the_hold_or_cut_to_it_is_counted(
    database: Database, input_tokens: int, counted: Counted | None
) -> None:
    telemetry = CountingTelemetry()
    async with running_engine(
        database.dsn, ending_with(TEXT, completed(input_tokens, 0)), telemetry=telemetry
    ) as engine:
        await read_all((await engine.send(WHO, await a_chat(engine, WHO))).reader)
    for each in (Counted.QUOTA_OVERSHOOT, Counted.QUOTA_CAPPED):
        assert telemetry.of(each) == ({(): 1} if each is counted else {})


@pytest.mark.parametrize(
    ("tokens", "reason"), [((-5, 7), "negative"), ((7, 10**8), "out_of_bounds"), ((0, 0), None), ((None, 7), None)]
)
async def test_a_report_that_cannot_be_is_counted(
    database: Database, tokens: tuple[int | None, int | None], reason: str | None
) -> None:
    telemetry = CountingTelemetry()
    async with running_engine(database.dsn, ending_with(TEXT, completed(*tokens)), telemetry=telemetry) as engine:
        await read_all((await engine.send(WHO, await a_chat(engine, WHO))).reader)
    assert telemetry.of(Counted.USAGE_INVALID) == ({} if reason is None else {(reason,): 1})


async def test_done_tells_what_is_left_of_each_tier_and_period(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a"))) as engine:
        last = (await read_all((await engine.send(WHO, await a_chat(engine, WHO))).reader))[-1][1]
    assert isinstance(last, Done)
    assert [(each.tier, each.period, each.remaining_percentage) for each in last.quota_warnings] == [
        ("premium", "daily", 100),
        ("premium", "monthly", 100),
        ("total", "daily", 99),
        ("total", "monthly", 99),
    ]
    assert {each.next_reset for each in last.quota_warnings} == {None}

"""What is held before a turn begins: never more than there is, and nothing at all for a turn that does not begin."""

import time

import anyio
import msgspec
import pytest

from domain.chats.service import ChatDraft
from domain.errors import InputTooLong, QuotaExceeded
from domain.quotas.models import QuotaRules
from domain.streaming.events import Done, StreamEvent
from domain.telemetry.ports import Counted
from domain.telemetry.trace_context import new_trace
from domain.turns.models import SendCommand
from tests.fakes.providers import FunctionProvider, saying
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.engine import Engine, a_chat, a_key, a_user, read_all, running_engine, told_again
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.integration.quotas.accounts import (
    HELLO_MICRO,
    PREMIUM,
    STANDARD,
    audited,
    bucket,
    everything,
    room_for,
    rows,
)

pytestmark = pytest.mark.postgres

WHO = a_user()
SENDS, ADMITTED = 40, 7


def never() -> FunctionProvider:
    return FunctionProvider(saying("never", gate=anyio.sleep_forever))


async def create_and_send(engine: Engine) -> None:
    await engine.turns.send(WHO, SendCommand(target=ChatDraft(), content="Hello"), new_trace())


async def test_a_running_turn_holds_its_estimate_and_its_longest_answer(database: Database) -> None:
    async with running_engine(database.dsn, never()) as engine:
        await engine.send(WHO, await a_chat(engine, WHO))
        for period in ("daily", "monthly"):
            counted = await bucket(database, period=period)
            assert (counted["reserved_micro"], counted["spent_micro"]) == (HELLO_MICRO, 0)
    await audited(database)


@pytest.mark.parametrize("creating", [True, False])
async def test_a_refused_send_leaves_no_trace(database: Database, creating: bool) -> None:
    async with running_engine(database.dsn, never(), rules=room_for(HELLO_MICRO - 1)) as engine:
        chat_id = await a_chat(engine, WHO)
        before = await everything(database)
        with pytest.raises(QuotaExceeded) as refused:
            await (create_and_send(engine) if creating else engine.send(WHO, chat_id))
        assert await everything(database) == before
    assert refused.value.members == {"quota_scope": "total:daily"}
    assert refused.value.retry_after is not None


@pytest.mark.parametrize("creating", [True, False])
async def test_a_refused_send_is_told_to_the_keepers_of_the_books(database: Database, creating: bool) -> None:
    async with running_engine(database.dsn, never(), rules=room_for(0)) as engine:
        chat_id, key = await a_chat(engine, WHO), a_key()
        with pytest.raises(QuotaExceeded):
            await (create_and_send(engine) if creating else engine.send(WHO, chat_id, request_id=key))
    (told,) = await rows(database, "SELECT * FROM mini_chat.audit_events WHERE event_type = 'quota_rejected'")
    assert (told["tenant_id"], told["user_id"]) == (WHO.tenant_id, WHO.user_id)
    assert told["chat_id"] == (None if creating else chat_id)
    body = msgspec.json.decode(told["body"])
    assert (body["quota_scope"], body["outcome"], body["actor"]["id"]) == ("total:daily", "denied", str(WHO.user_id))
    assert creating or body["request_id"] == str(key)


async def test_whoever_hammers_at_a_limit_is_not_told_of_each_time(database: Database) -> None:
    async with running_engine(database.dsn, never(), rules=room_for(0)) as engine:
        started = time.monotonic()
        assert await admitted_of(engine, 40) == 0
        seconds = int(time.monotonic()) - int(started) + 1
    told = await rows(database, "SELECT id FROM mini_chat.audit_events WHERE event_type = 'quota_rejected'")
    assert 10 <= len(told) <= 10 * seconds


async def test_room_for_exactly_one_turn_is_room(database: Database) -> None:
    telemetry = CountingTelemetry()
    async with running_engine(database.dsn, never(), rules=room_for(HELLO_MICRO), telemetry=telemetry) as engine:
        await create_and_send(engine)
        with pytest.raises(QuotaExceeded):
            await create_and_send(engine)
    decided = {(decision, STANDARD.id, "standard"): 1 for decision in ("allow", "reject")}
    assert telemetry.of(Counted.QUOTA_PREFLIGHT) == decided
    await audited(database)


async def admitted_of(engine: Engine, sends: int) -> int:
    outcomes: list[bool] = []

    async def attempt() -> None:
        try:
            await create_and_send(engine)
        except QuotaExceeded:
            outcomes.append(False)
        else:
            outcomes.append(True)

    async with anyio.create_task_group() as senders:
        for _ in range(sends):
            senders.start_soon(attempt)
    assert len(outcomes) == sends
    return sum(outcomes)


async def test_many_sends_at_once_are_admitted_as_often_as_there_is_room(database: Database) -> None:
    async with running_engine(database.dsn, never(), rules=room_for(ADMITTED * HELLO_MICRO)) as engine:
        assert await admitted_of(engine, SENDS) == ADMITTED
        assert (await bucket(database))["reserved_micro"] == ADMITTED * HELLO_MICRO
    await audited(database)


async def test_a_hold_that_was_outrun_is_refused_with_everything_written_before_it(database: Database) -> None:
    """Both saw the same room; the counters decide in the transaction that writes."""
    async with running_engine(database.dsn, never(), rules=room_for(HELLO_MICRO)) as engine:
        assert await admitted_of(engine, 2) == 1
        found = await everything(database)
    assert (found["chats"], found["chat_turns"], found["messages"], found["ledger_entries"]) == (1, 1, 1, 1)


async def test_credits_of_others_are_not_touched(database: Database) -> None:
    async with running_engine(database.dsn, never(), rules=room_for(HELLO_MICRO)) as engine:
        await create_and_send(engine)
        for somebody in (a_user(), a_user()):
            await engine.send(somebody, await a_chat(engine, somebody))
    await audited(database)


async def test_a_replay_asks_for_no_credits(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a")), rules=room_for(HELLO_MICRO)) as engine:
        chat_id, key = await a_chat(engine, WHO), a_key()
        first = await read_all((await engine.send(WHO, chat_id, request_id=key)).reader)
        before = await everything(database)
        with pytest.raises(QuotaExceeded):
            await engine.send(WHO, chat_id)
        again = await engine.send(WHO, chat_id, request_id=key)
        assert (await read_all(again.reader))[-1] == told_again(first[-1])
        assert await everything(database) == before
    await audited(database)


async def test_a_premium_model_without_credits_is_replaced_by_a_standard_one(database: Database) -> None:
    provider = FunctionProvider(saying("a"))
    rules, telemetry = room_for(10**9, premium_micro=100), CountingTelemetry()
    models = (STANDARD, PREMIUM)
    async with running_engine(database.dsn, provider, rules=rules, models=models, telemetry=telemetry) as engine:
        chat = await engine.chats.create(WHO, ChatDraft(model=PREMIUM.id))
        last: StreamEvent = (await read_all((await engine.send(WHO, chat.id)).reader))[-1][1]
    assert isinstance(last, Done)
    assert (last.effective_model, last.quota_decision) == (STANDARD.id, "downgrade")
    assert (last.downgrade_from, last.downgrade_reason) == (PREMIUM.id, "premium_quota_exhausted")
    assert [request.model for request in provider.requests] == [STANDARD.provider_model_id]
    assert await rows(database, "SELECT FROM mini_chat.quota_buckets WHERE bucket = 'tier:premium'") == []
    assert telemetry.of(Counted.QUOTA_TIER_DOWNGRADE) == {(PREMIUM.id, "premium_quota_exhausted", STANDARD.id): 1}
    assert telemetry.of(Counted.QUOTA_PREFLIGHT) == {("downgrade", STANDARD.id, "standard"): 1}
    await audited(database)


async def test_a_premium_turn_counts_in_both_names(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a")), models=(STANDARD, PREMIUM)) as engine:
        chat = await engine.chats.create(WHO, ChatDraft(model=PREMIUM.id))
        await read_all((await engine.send(WHO, chat.id)).reader)
        assert (await bucket(database, "total"))["spent_micro"] == 3 * 11 + 1
        assert (await bucket(database, "tier:premium"))["spent_micro"] == 3 * 11 + 1
    await audited(database)


async def test_a_message_too_long_is_refused_for_its_length_only_where_there_are_credits(database: Database) -> None:
    """engine.md 2.2: when both would refuse, credits answer."""
    refusals: list[tuple[QuotaRules, type[Exception]]] = [(room_for(10**9), InputTooLong), (room_for(1), QuotaExceeded)]
    for rules, refusal in refusals:
        async with running_engine(database.dsn, never(), rules=rules) as engine:
            chat_id = await a_chat(engine, WHO)
            with pytest.raises(refusal):
                await engine.send(WHO, chat_id, "x" * 1_000_000)


async def test_a_tenant_with_limits_is_counted_as_a_whole(database: Database) -> None:
    limit = "INSERT INTO mini_chat.quota_limits (tenant_id, scope, subject_id, total_daily_micro, version, updated_by)"
    nobody = "00000000-0000-0000-0000-000000000000"
    await rows(database, f"{limit} VALUES ($1, 'tenant', $2, $3, 1, $2)", WHO.tenant_id, nobody, 2 * HELLO_MICRO)
    async with running_engine(database.dsn, never()) as engine:
        colleague = a_user(tenant_id=WHO.tenant_id)
        await engine.send(colleague, await a_chat(engine, colleague))
        await create_and_send(engine)
        with pytest.raises(QuotaExceeded) as refused:
            await create_and_send(engine)
        assert refused.value.members == {"quota_scope": "tenant:daily"}
        await until(lambda: len(engine.supervisor.running_turns()) == 2)
    await audited(database)

"""What a call on the system's account costs, whatever becomes of it (engine.md 4.2, 6.3)."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import msgspec
import pytest
from typing_extensions import override

from domain.ids import ChatId
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, TextDelta, Usage
from domain.providers.ports import CallControl
from domain.providers.request import ProviderRequest, UserText
from domain.scope import AccessScope, scope_for
from domain.system_calls.models import (
    RefusedFor,
    SystemAnswer,
    SystemCallFailed,
    SystemCallRefused,
    SystemOrder,
    SystemTask,
)
from domain.system_calls.ports import SystemCallTx
from domain.telemetry.ports import Counted
from domain.unit_of_work import LostRace
from infra.postgres.audit.checks import ROW_CHECKS
from tests.fakes.providers import FunctionProvider, Play, saying
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.engine import MODEL, a_user
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.harness.system_calls import Desk, system_desk
from tests.integration.quotas.accounts import audited, bucket, rows

pytestmark = pytest.mark.postgres

WHO = a_user()
SCOPE = scope_for(WHO)
ORDER = SystemOrder(
    task=SystemTask.TITLE,
    chat_id=ChatId(WHO.user_id),
    model=MODEL,
    instructions="Name it.",
    items=(UserText("[]"),),
    max_output_tokens=24,
    deadline=timedelta(seconds=5),
)
ESTIMATE_MICRO = 114 + 24
"""Ten bytes are 3 tokens, 100 more are fixed and a tenth is the margin."""


def failing(kind: FailureKind, usage: Usage | None = None) -> Play:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [Failed(failure=ProviderFailure(kind=kind), usage=usage)]

    return play


def reporting(usage: Usage | None) -> Play:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("Tides"), Completed(finish=Finish.STOP, usage=usage)]

    return play


async def settle(tx: SystemCallTx, answer: SystemAnswer) -> None:
    await tx.events.add(answer.event)
    await tx.system_credits.correct(answer.settled)


async def asked(desk: Desk, scope: AccessScope = SCOPE) -> SystemAnswer:
    answer = await desk.calls.ask(scope, ORDER)
    async with desk.begin(scope) as tx:
        await settle(tx, answer)
    return answer


async def undone(desk: Desk, answer: SystemAnswer) -> None:
    async with desk.begin(SCOPE) as tx:
        await settle(tx, answer)
        raise ZeroDivisionError


async def spent(database: Database) -> int:
    found = await bucket(database, "system")
    return int(found["spent_micro"])


async def events(database: Database) -> list[Any]:
    return await rows(database, "SELECT * FROM mini_chat.usage_events ORDER BY id")


REPORTS = [
    (Usage(input_tokens=11, output_tokens=3), 14, ("reported", "actual", False)),
    (Usage(input_tokens=115, output_tokens=24), 139, ("reported", "actual", False)),
    (Usage(input_tokens=11_000, output_tokens=24), ESTIMATE_MICRO, ("reported", "actual", True)),
    (None, ESTIMATE_MICRO, ("estimated", "estimated", False)),
]


@pytest.mark.parametrize(("usage", "cost_micro", "told"), REPORTS)
async def test_the_estimate_becomes_the_cost(
    database: Database, usage: Usage | None, cost_micro: int, told: tuple[str, str, bool]
) -> None:
    async with system_desk(database.dsn, FunctionProvider(reporting(usage))) as desk:
        answer = await asked(desk)
    assert (answer.text, answer.finish) == ("Tides", Finish.STOP)
    assert await spent(database) == cost_micro
    (event,) = await events(database)
    body = msgspec.json.decode(event["body"])
    assert (body["usage_source"], body["settlement_method"], body["capped"]) == told
    assert (body["billing_outcome"], body["system_task_type"]) == ("system_task", "chat_title")
    assert (body["actual_credits_micro"], body["reserved_credits_micro"]) == (cost_micro, ESTIMATE_MICRO)
    assert event["user_id"] is None
    await audited(database)


async def test_no_user_pays_for_it(database: Database) -> None:
    async with system_desk(database.dsn, FunctionProvider(saying("Tides"))) as desk:
        await asked(desk)
        async with desk.begin(SCOPE) as tx:
            assert (await tx.quotas.standing()).counters == {}
    assert await rows(database, "SELECT id FROM mini_chat.ledger_entries WHERE user_id IS NOT NULL") == []


async def test_the_estimate_is_charged_before_the_call_and_no_connection_is_held(database: Database) -> None:
    seen = []
    idle = """
        SELECT count(*) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'tests%' AND state LIKE 'idle in transaction%'"""

    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        ((in_transaction,),) = await rows(database, idle)
        seen.append((await spent(database), in_transaction))
        yield [TextDelta("Tides"), Completed(finish=Finish.STOP, usage=Usage(input_tokens=11, output_tokens=1))]

    async with system_desk(database.dsn, FunctionProvider(play)) as desk:
        await asked(desk)
    assert seen == [(ESTIMATE_MICRO, 0)]


async def test_who_is_lost_during_the_call_leaves_the_estimate_charged(database: Database) -> None:
    calling = anyio.Event()

    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        calling.set()
        await anyio.sleep_forever()
        yield []

    async with system_desk(database.dsn, FunctionProvider(play)) as desk, anyio.create_task_group() as group:
        group.start_soon(desk.calls.ask, SCOPE, ORDER)
        await calling.wait()
        group.cancel_scope.cancel()
    assert await spent(database) == ESTIMATE_MICRO
    assert await events(database) == []
    await audited(database)


async def test_an_answer_whose_transaction_is_undone_stays_charged_as_estimated(database: Database) -> None:
    async with system_desk(database.dsn, FunctionProvider(saying("Tides"))) as desk:
        answer = await desk.calls.ask(SCOPE, ORDER)
        with pytest.raises(ZeroDivisionError):
            await undone(desk, answer)
    assert await spent(database) == ESTIMATE_MICRO
    await audited(database)


FAILURES = [
    (failing(FailureKind.SERVER_ERROR), 114 + 24),
    (failing(FailureKind.SERVER_ERROR, Usage(input_tokens=11, output_tokens=1)), 12),
    (failing(FailureKind.CONTEXT_LENGTH), 0),
]


@pytest.mark.parametrize(("play", "cost_micro"), FAILURES)
async def test_a_failed_call_is_settled_at_once(database: Database, play: Play, cost_micro: int) -> None:
    async with system_desk(database.dsn, FunctionProvider(play)) as desk:
        with pytest.raises(SystemCallFailed):
            await desk.calls.ask(SCOPE, ORDER)
    assert await spent(database) == cost_micro
    assert [event["event_type"] for event in await events(database)] == ["system_usage"]
    await audited(database)


class Unreachable(FunctionProvider):
    @override
    @asynccontextmanager
    async def stream(
        self, request: ProviderRequest, control: CallControl
    ) -> AsyncIterator[AsyncIterator[Sequence[ProviderEvent]]]:
        yield failing(FailureKind.UNREACHABLE)(request)


async def test_a_call_that_never_left_costs_nothing(database: Database) -> None:
    async with system_desk(database.dsn, Unreachable(saying("never"))) as desk:
        with pytest.raises(SystemCallFailed):
            await desk.calls.ask(SCOPE, ORDER)
    assert await spent(database) == 0
    await audited(database)


async def test_a_day_has_room_for_so_many_calls_whoever_asks_at_once(database: Database) -> None:
    telemetry, room, others = CountingTelemetry(), 3, a_user()
    provider = FunctionProvider(saying("Tides", gate=lambda: anyio.sleep(0.2)))
    outcomes: list[RefusedFor | None] = []

    async def ask(desk: Desk) -> None:
        try:
            await desk.calls.ask(SCOPE, ORDER)
        except SystemCallRefused as refusal:
            outcomes.append(refusal.reason)
        else:
            outcomes.append(None)

    limit_micro = room * ESTIMATE_MICRO + 1
    async with (
        system_desk(database.dsn, provider, daily_limit_micro=limit_micro, telemetry=telemetry) as desk,
        system_desk(database.dsn, provider, daily_limit_micro=limit_micro, telemetry=telemetry) as another,
    ):
        async with anyio.create_task_group() as group:
            for number in range(10):
                group.start_soon(ask, desk if number % 2 else another)
        await asked(desk, scope_for(others))
    assert Counter(outcomes) == {None: room, RefusedFor.EXHAUSTED: 7}
    assert len(provider.requests) == room + 1
    assert telemetry.of(Counted.SYSTEM_CALLS) == {("answered", "chat_title"): 4, ("exhausted", "chat_title"): 7}
    await audited(database)


async def test_a_limit_of_zero_calls_nobody(database: Database) -> None:
    provider = FunctionProvider(saying("Tides"))
    async with system_desk(database.dsn, provider, daily_limit_micro=0) as desk:
        with pytest.raises(SystemCallRefused):
            await desk.calls.ask(SCOPE, ORDER)
    assert provider.requests == []
    assert await rows(database, "SELECT * FROM mini_chat.ledger_entries") == []


async def test_an_answer_is_settled_once(database: Database) -> None:
    async with system_desk(database.dsn, FunctionProvider(saying("Tides"))) as desk:
        answer = await asked(desk)
        with pytest.raises(LostRace):
            async with desk.begin(SCOPE) as tx:
                await settle(tx, answer)
    await audited(database)


NAMES = ("chat_id", "model", "tier", "policy_version", "reason")
PLANTED = (
    *(
        f"UPDATE mini_chat.ledger_entries SET {column} = NULL WHERE kind = '{kind}'"  # noqa: S608 - our own text
        for column in NAMES
        for kind in ("system", "adjust")
    ),
    "UPDATE mini_chat.quota_buckets SET spent_micro = spent_micro + 1",
    "UPDATE mini_chat.quota_buckets SET reserved_micro = 1",
    "DELETE FROM mini_chat.quota_buckets",
    "DELETE FROM mini_chat.ledger_entries WHERE kind = 'system'",
    "DELETE FROM mini_chat.ledger_entries WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET credits_micro = credits_micro + 1",
    "UPDATE mini_chat.ledger_entries SET model = 'another' WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET chat_id = gen_random_uuid() WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET request_id = gen_random_uuid() WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET reason = 'thread_summary' WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET usage_source = 'unknown' WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET outcome = 'failed' WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET period_start = period_start - 1 WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET policy_version = 7 WHERE kind = 'system'",
    "UPDATE mini_chat.ledger_entries SET usage_source = NULL, outcome = NULL WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET input_tokens = input_tokens + 1 WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET output_tokens = NULL WHERE kind = 'adjust'",
    "UPDATE mini_chat.ledger_entries SET released_micro = 1",
    "UPDATE mini_chat.ledger_entries SET user_id = gen_random_uuid() WHERE kind = 'system'",
    "UPDATE mini_chat.ledger_entries SET request_id = gen_random_uuid() WHERE kind = 'system'",
    """WITH free AS (
        UPDATE mini_chat.quota_buckets SET spent_micro = spent_micro - 1 RETURNING *
    ) INSERT INTO mini_chat.ledger_entries (tenant_id, kind, credits_micro, subject_id, period_type, period_start,
        bucket) SELECT tenant_id, 'adjust', -1, subject_id, period_type, period_start, bucket FROM free""",
    """INSERT INTO mini_chat.usage_events
    SELECT (json_populate_record(event, json_build_object('id', gen_random_uuid(), 'dedupe_key', 'another',
        'body', event.body || '{"dedupe_key": "another"}'))).* FROM mini_chat.usage_events event""",
    "UPDATE mini_chat.quota_buckets SET calls = 1",
    "UPDATE mini_chat.quota_buckets SET web_search_calls = 1",
    "UPDATE mini_chat.usage_events SET chat_id = gen_random_uuid()",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{usage,input_tokens}', '7')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{reserved_credits_micro}', '1')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{chat_id}', to_jsonb(gen_random_uuid()))",
    """INSERT INTO mini_chat.ledger_entries (tenant_id, kind, request_id, credits_micro, subject_id, period_type,
        period_start, bucket) SELECT tenant_id, kind, request_id, 0, subject_id, period_type, period_start, bucket
    FROM mini_chat.ledger_entries WHERE kind = 'adjust'""",
    "DELETE FROM mini_chat.usage_events",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{actual_credits_micro}', '1')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{terminal_state}', '\"failed\"')",
)


async def test_the_audit_finds_what_is_wrong_with_a_call(database: Database) -> None:
    async with system_desk(database.dsn, FunctionProvider(saying("Tides"))) as desk:
        await asked(desk)
    async with connected(database.superuser_dsn) as books:
        await books.execute("SET session_replication_role = replica")
        assert await found(books) == []
        unseen = []
        for fault in PLANTED:
            planting = books.transaction()
            await planting.start()
            assert await books.execute(fault) not in {"UPDATE 0", "DELETE 0", "INSERT 0 0"}, fault
            if not await found(books):
                unseen.append(fault)
            await planting.rollback()
    assert not unseen, "\n".join(unseen)


async def found(books: asyncpg.Connection) -> list[str]:
    return [name for name, query in ROW_CHECKS.items() if await books.fetch(query)]

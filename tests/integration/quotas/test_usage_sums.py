"""What all tenants were charged, in groups: every micro-credit in one group, every group on one page."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import combinations, permutations
from typing import Any
from uuid import UUID

import pytest
from msgspec.structs import replace
from sqlalchemy import event

from domain.auth.policy import Policy
from domain.chats.service import ChatDraft
from domain.errors import Forbidden
from domain.ids import TenantId
from domain.pagination import Page, PageQuery, Position
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, TextDelta, Usage
from domain.providers.request import ProviderRequest
from domain.quotas.usage_sums import Grouping, UsageReports, UsageSpan, UsageSum
from infra.postgres.transaction import TransactionLimits
from infra.postgres.usage_sums import PostgresUsageSums
from tests.fakes.providers import FunctionProvider
from tests.harness.engine import Engine, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.integration.lists.plans import explained
from tests.integration.quotas.accounts import PREMIUM, STANDARD, audited, rows

pytestmark = pytest.mark.postgres

ACME, COLLEAGUE, OTHER = (one := a_user()), a_user(tenant_id=one.tenant_id), a_user()
YESTERDAY = datetime.now(UTC) - timedelta(days=1)
DAYS = UsageSpan(start=YESTERDAY - timedelta(days=7), end=YESTERDAY + timedelta(days=7))
GROUPINGS = [keys for size in range(1, 5) for chosen in combinations(Grouping, size) for keys in permutations(chosen)]
LEDGER = {
    Grouping.TENANT: "tenant_id::text",
    Grouping.USER: "user_id::text",
    Grouping.MODEL: "model",
    Grouping.DAY: "(created_at AT TIME ZONE 'UTC')::date::text",
}

YEAR = """
    INSERT INTO mini_chat.ledger_entries (tenant_id, kind, turn_id, chat_id, request_id, user_id, model, tier, outcome,
        usage_source, input_tokens, output_tokens, credits_micro, tenant_bucket, period_day, period_month,
        policy_version, created_at)
    SELECT lpad((n % 50)::text, 32, '0')::uuid, 'settle', gen_random_uuid(), gen_random_uuid(), gen_random_uuid(),
        gen_random_uuid(), 'm', 'standard', 'completed', 'reported', 1, 1, 1, false, current_date, current_date, 1,
        now() - (60000 - n) * interval '365 days' / 60000
    FROM generate_series(1, 60000) n
"""


async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
    """What was asked for by `too long` calls nobody that counts."""
    if "too long" in request.items[-1].text:
        yield [Failed(failure=ProviderFailure(kind=FailureKind.CONTEXT_LENGTH, detail="too long"))]
    else:
        used = Usage(input_tokens=len(request.items[-1].text), output_tokens=7)
        yield [TextDelta("a"), Completed(finish=Finish.STOP, usage=used)]


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    """A dozen charges on two days, and two turns that cost nothing."""
    async with running_engine(database.dsn, FunctionProvider(play), models=(STANDARD, PREMIUM)) as engine:
        for who in (ACME, COLLEAGUE, OTHER):
            for model in (STANDARD, PREMIUM):
                chat = await engine.chats.create(who, ChatDraft(model=model.id))
                for length in range(2):
                    await read_all((await engine.send(who, chat.id, "x" * (1 + length))).reader)
            await read_all((await engine.send(who, chat.id, "too long")).reader)
        await audited(database)
        await rows(
            database,
            "UPDATE mini_chat.ledger_entries SET created_at = created_at - interval '1 day' WHERE input_tokens = 1",
        )
        yield engine


def sums_of(engine: Engine) -> PostgresUsageSums:
    return PostgresUsageSums(engine.pools.requests, TransactionLimits())


async def page(engine: Engine, span: UsageSpan, limit: int = 100, position: Position | None = None) -> Page[UsageSum]:
    query = PageQuery(limit=limit, order=span.shape.default_order, position=position)
    return await sums_of(engine).page(span, query)


def told(groups: Sequence[UsageSum]) -> list[tuple[Any, ...]]:
    return [
        (*group.keys.values(), group.turns, group.input_tokens, group.output_tokens, group.credits_micro)
        for group in groups
    ]


def span(**members: Any) -> UsageSpan:
    return UsageSpan(start=DAYS.start, end=DAYS.end, **members)


async def ledger(database: Database, group_by: Sequence[Grouping]) -> list[tuple[Any, ...]]:
    """The same by another way: sorted and summed here, from the rows themselves."""
    columns = ", ".join(LEDGER[grouping] for grouping in group_by)
    query = f"""
        SELECT {columns}, input_tokens, output_tokens, credits_micro FROM mini_chat.ledger_entries
        WHERE kind = 'settle' AND usage_source <> 'unknown'
    """  # noqa: S608 - our own names
    groups: dict[tuple[Any, ...], list[int]] = {}
    for row in await rows(database, query):
        *keys, input_tokens, output_tokens, credits_micro = tuple(row)
        total = groups.setdefault(tuple(keys), [0, 0, 0, 0])
        for place, value in enumerate((1, input_tokens, output_tokens, credits_micro)):
            total[place] += value
    return [(*keys, *groups[keys]) for keys in sorted(groups)]


async def test_every_grouping_sums_the_ledger_and_pages_tell_each_group_once(
    engine: Engine, database: Database
) -> None:
    for group_by in GROUPINGS:
        wanted, expected = span(group_by=group_by), await ledger(database, group_by)
        found, position = list[UsageSum](), None
        while True:
            part = await page(engine, wanted, 2, position)
            found.extend(part.items)
            if (position := part.next) is None:
                break
        assert told(found) == expected
        assert part.previous is not None or len(expected) <= 2
        if part.previous is not None:
            back = await page(engine, wanted, 2, part.previous)
            assert told(back.items) == expected[len(expected) - len(part.items) - 2 : len(expected) - len(part.items)]
    assert sum(group[-4] for group in expected) == 12


async def test_each_filter_leaves_only_what_it_names(engine: Engine, database: Database) -> None:
    everything = tuple(Grouping)
    whole = await ledger(database, everything)
    for name, wanted, place in (
        ("tenant_id", ACME.tenant_id, 0),
        ("user_id", COLLEAGUE.user_id, 1),
        ("model", PREMIUM.id, 2),
    ):
        found = await page(engine, span(group_by=everything, **{name: wanted}))
        assert told(found.items) == [group for group in whole if group[place] == str(wanted)]
        assert 0 < len(found.items) < len(whole)


async def test_a_charge_belongs_to_the_span_that_begins_with_it_and_not_to_the_one_that_ends_with_it(
    engine: Engine, database: Database
) -> None:
    settled = "SELECT max(created_at) FROM mini_chat.ledger_entries WHERE kind = 'settle' AND usage_source <> 'unknown'"
    ((last,),) = await rows(database, settled)
    (newest,) = (await page(engine, UsageSpan(start=last, end=DAYS.end))).items
    assert newest.turns == 1
    older = (await page(engine, UsageSpan(start=DAYS.start, end=last))).items
    assert sum(group.turns for group in older) == 11


async def test_only_administrators_see_sums(engine: Engine) -> None:
    with pytest.raises(Forbidden):
        await UsageReports(sums_of(engine), Policy()).page(
            ACME, DAYS, PageQuery(limit=1, order=DAYS.shape.default_order)
        )


async def test_a_span_reads_the_ledger_of_its_time(database: Database) -> None:
    sent: list[tuple[str, Sequence[object]]] = []

    def note(*arguments: Any) -> None:
        _connection, _cursor, statement, values, *_ = arguments
        if "ledger_entries" in statement:
            sent.append((statement, values))

    async with connected(database.superuser_dsn) as admin:
        await admin.execute(f"SET session_replication_role = replica; {YEAR}")
        await admin.execute("VACUUM (ANALYZE) mini_chat.ledger_entries")
        async with running_engine(database.dsn, FunctionProvider(play)) as engine:
            event.listen(engine.pools.requests.sync_engine, "before_cursor_execute", note)
            now = datetime.now(UTC)
            month = UsageSpan(start=now - timedelta(days=61), end=now - timedelta(days=31))
            (tenants, one_tenant) = [
                await page(engine, each) for each in (month, replace(month, tenant_id=TenantId(UUID(int=7))))
            ]
        assert (len(tenants.items), len(one_tenant.items)) == (50, 1)
        for statement, values in sent:
            plan = await explained(admin, statement, values)
            assert plan.rows_read("ledger_entries") < 60_000 / 12 * 2, plan.text

"""Every list reads about as many rows as it shows, whatever the size of the tables, or those of one owner or chat.

With forced row-level security, under the service's own login. Lists are planned for the values at hand; a plan made
for any values is bounded too, but may sort the rows of one owner. TESTS_LIST_MESSAGES
sets how many messages there are.
"""

import os
from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from uuid import UUID

import anyio
import pytest
from sqlalchemy import text

from domain.chats.listing import CHAT_LIST
from domain.filters import (
    Among,
    And,
    Compare,
    Field,
    Filter,
    ListShape,
    Match,
    Matches,
    Operand,
    Operator,
    OrderKey,
    Value,
)
from domain.messages.listing import MESSAGE_LIST
from domain.pagination import PageQuery, Position, Travel
from domain.unit_of_work import Access
from infra.postgres.engine import create_pools
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.harness.postgres import Database, PostgresServer
from tests.harness.rows import connected
from tests.integration.lists.crowd import DAWN, Crowd
from tests.integration.lists.plans import CUSTOM, GENERIC, LIMITS, PLAN_MODES, Plan, plans_of

pytestmark = pytest.mark.timeout(240)

MESSAGES: Final = int(os.environ.get("TESTS_LIST_MESSAGES", "1000000"))
CROWD: Final = Crowd(messages=MESSAGES, chats=20_000)
LIMIT: Final = 20
NEAR: Final = 2 * LIMIT
"""How many rows a page may read that an index leads to; deleted ones lie between the others."""

IN_MEMORY: Final = {
    "top-N heapsort in Memory",
    "quicksort in Memory",
    "top-N heapsort in groups",
    "quicksort in groups",
}


@pytest.fixture(scope="module")
def crowded(postgres_server: PostgresServer) -> Iterator[Database]:
    async def settle(database: Database) -> None:
        async with connected(database.superuser_dsn) as superuser:
            await CROWD.settle(superuser)

    with postgres_server.database() as database:
        anyio.run(settle, database)
        yield database


def _field(shape: ListShape, name: str) -> Field:
    field = shape.find(name)
    assert field is not None
    return field


def _is(shape: ListShape, name: str, value: Value, operator: Operator = Operator.EQ) -> Filter:
    return Compare(Operand(_field(shape, name)), operator, value)


def _by(shape: ListShape, name: str, *, descending: bool = False) -> tuple[OrderKey, ...]:
    return shape.total([OrderKey(_field(shape, name), descending=descending)])


async def _chat_plans(database: Database, mode: str, query: PageQuery) -> list[Plan]:
    return await plans_of(database.dsn, CROWD.collector, mode, lambda tx: tx.chats.page(query))


async def _message_plans(database: Database, mode: str, query: PageQuery) -> list[Plan]:
    return await plans_of(database.dsn, CROWD.writer, mode, lambda tx: tx.messages.page(CROWD.long_chat, query))


PLANS: Final = {"chats": _chat_plans, "messages": _message_plans}
SHAPES: Final = {"chats": CHAT_LIST, "messages": MESSAGE_LIST}
OF_ONE_OWNER: Final = {"chats": CROWD.chats, "messages": CROWD.long_chat_messages}


def assert_bounded(plan: Plan) -> None:
    assert plan.sequential_scans == [], plan.text
    assert plan.repeated == [], plan.text
    assert plan.once, plan.text
    assert set(plan.once) <= {0, 1}, plan.text
    assert not any("Disk" in sort or "external" in sort for sort in plan.sorts), plan.text


def assert_led_by_index(plan: Plan, mode: str, table: str, near: int = NEAR) -> None:
    assert_bounded(plan)
    if mode == GENERIC:
        assert_within_owner(plan, table)
        return
    assert plan.sorts == [], plan.text
    assert plan.rows_read(table) <= near, plan.text


def assert_within_owner(plan: Plan, table: str) -> None:
    assert_bounded(plan)
    assert set(plan.sorts) <= IN_MEMORY, plan.text
    assert plan.rows_read(table) <= OF_ONE_OWNER[table], plan.text


MODES = pytest.mark.parametrize("mode", PLAN_MODES)

INDEXED: Final = {
    ("chats", "updated_at"),
    ("chats", "created_at"),
    ("messages", "seq"),
    ("messages", "created_at"),
}
SORTED: Final = {(table, field.name) for table, shape in SHAPES.items() for field in shape.fields} - INDEXED
"""No index has these: a top-N sort of the rows of one owner, or of one chat, finds the page."""


@MODES
@pytest.mark.parametrize("table", PLANS)
async def test_the_default_order_is_led_by_an_index(crowded: Database, mode: str, table: str) -> None:
    (plan,) = await PLANS[table](crowded, mode, PageQuery(limit=LIMIT))
    assert_led_by_index(plan, mode, table)


@MODES
@pytest.mark.parametrize("travel", [None, *Travel])
async def test_deleted_chats_read_one_owners_deleted_rows_at_most(
    crowded: Database, mode: str, travel: Travel | None
) -> None:
    """How many of them can still be restored is the planner's guess; it may sort them."""
    position = None if travel is None else Position(keys=DEEP["chats", "updated_at"], travel=travel)
    query = PageQuery(limit=LIMIT, position=position)
    (plan,) = await plans_of(
        crowded.dsn, CROWD.collector, mode, lambda tx: tx.chats.restorable_page(query, timedelta(days=36_500))
    )
    assert_within_owner(plan, "chats")
    assert plan.rows_read("chats") <= CROWD.chats // 10, plan.text


@MODES
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("table", "name"), sorted(INDEXED))
async def test_common_orders_are_led_by_an_index_both_ways(
    crowded: Database, mode: str, table: str, name: str, descending: bool
) -> None:
    query = PageQuery(limit=LIMIT, order=_by(SHAPES[table], name, descending=descending))
    (plan,) = await PLANS[table](crowded, mode, query)
    assert_led_by_index(plan, mode, table)


@MODES
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("table", "name"), sorted(SORTED))
async def test_any_other_order_sorts_the_rows_of_one_owner_at_most(
    crowded: Database, mode: str, table: str, name: str, descending: bool
) -> None:
    query = PageQuery(limit=LIMIT, order=_by(SHAPES[table], name, descending=descending))
    (plan,) = await PLANS[table](crowded, mode, query)
    assert_within_owner(plan, table)


DEEP: Final = {
    ("chats", "updated_at"): (DAWN + timedelta(hours=CROWD.chats // 6), UUID(int=800_000_000 + CROWD.chats // 2)),
    ("chats", "created_at"): (DAWN + timedelta(minutes=CROWD.chats // 2), UUID(int=800_000_000 + CROWD.chats // 2)),
    ("messages", "seq"): (CROWD.long_chat_messages // 2,),
    ("messages", "created_at"): (
        DAWN + timedelta(seconds=CROWD.long_chat_messages // 8),
        CROWD.long_chat_messages // 2,
    ),
}
"""Keys in the middle of each list."""


@MODES
@pytest.mark.parametrize("travel", Travel)
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(("table", "name"), sorted(INDEXED))
async def test_a_page_deep_down_costs_what_the_first_one_costs(
    crowded: Database, mode: str, table: str, name: str, descending: bool, travel: Travel
) -> None:
    order = _by(SHAPES[table], name, descending=descending)
    position = Position(keys=DEEP[table, name], travel=travel)
    (plan,) = await PLANS[table](crowded, mode, PageQuery(limit=LIMIT, order=order, position=position))
    assert_led_by_index(plan, mode, table)


@MODES
@pytest.mark.parametrize("table", PLANS)
async def test_directions_that_differ_start_at_the_bound_of_the_first_key(
    crowded: Database, mode: str, table: str
) -> None:
    shape = SHAPES[table]
    order = (OrderKey(_field(shape, "created_at")), OrderKey(shape.unique, descending=True))
    position = Position(keys=DEEP[table, "created_at"], travel=Travel.FORWARD)
    (plan,) = await PLANS[table](crowded, mode, PageQuery(limit=LIMIT, order=order, position=position))
    assert_bounded(plan)
    assert plan.rows_read(table) <= OF_ONE_OWNER[table] * 0.6, plan.text


FILTERS: Final[dict[str, tuple[str, Filter, int]]] = {
    "half of them": ("messages", _is(MESSAGE_LIST, "role", "user"), 3 * LIMIT),
    "since": ("messages", _is(MESSAGE_LIST, "seq", CROWD.long_chat_messages // 2, Operator.GE), NEAR),
    "one of a hundred": ("chats", _is(CHAT_LIST, "is_favorite", True), 130 * LIMIT),
    "untitled": ("chats", _is(CHAT_LIST, "title", None), 11 * LIMIT),
    "any of": (
        "chats",
        Among(Operand(_field(CHAT_LIST, "model")), ("model-0", "model-1")),
        3 * LIMIT,
    ),
    "two terms": (
        "chats",
        And((_is(CHAT_LIST, "model", "model-0"), _is(CHAT_LIST, "updated_at", DAWN, Operator.GE))),
        5 * LIMIT,
    ),
    "text": ("chats", Matches(Operand(_field(CHAT_LIST, "title"), lowered=True), Match.CONTAINS, "7"), 20 * LIMIT),
}


@MODES
@pytest.mark.parametrize("name", FILTERS)
async def test_a_filter_that_many_rows_pass_stops_at_the_end_of_the_page(
    crowded: Database, mode: str, name: str
) -> None:
    table, term, near = FILTERS[name]
    (plan,) = await PLANS[table](crowded, mode, PageQuery(limit=LIMIT, filter=term))
    assert_led_by_index(plan, mode, table, near)


@MODES
@pytest.mark.parametrize(
    ("table", "term"),
    [
        ("chats", _is(CHAT_LIST, "title", "nobody has this")),
        ("chats", Among(Operand(_field(CHAT_LIST, "id")), (UUID(int=5), UUID(int=6)))),
        ("messages", _is(MESSAGE_LIST, "role", "system")),
        ("messages", _is(MESSAGE_LIST, "id", UUID(int=5))),
    ],
)
async def test_a_filter_that_no_row_passes_reads_one_owners_rows_at_most(
    crowded: Database, mode: str, table: str, term: Filter
) -> None:
    (plan,) = await PLANS[table](crowded, mode, PageQuery(limit=LIMIT, filter=term))
    assert_within_owner(plan, table)


@MODES
@pytest.mark.parametrize("table", PLANS)
async def test_a_count_reads_one_owners_rows_at_most(crowded: Database, mode: str, table: str) -> None:
    page, count = await PLANS[table](crowded, mode, PageQuery(limit=LIMIT, counted=True))
    assert_led_by_index(page, mode, table)
    assert_within_owner(count, table)


@MODES
async def test_a_page_of_messages_finds_its_chat_by_key_also_of_a_user_with_very_many(
    crowded: Database, mode: str
) -> None:
    """Not among the entries of that user in another index."""
    (plan,) = await plans_of(
        crowded.dsn, CROWD.collector, mode, lambda tx: tx.messages.page(CROWD.one_of_many_chats, PageQuery(limit=LIMIT))
    )
    assert_led_by_index(plan, mode, "messages")
    assert [node["Index Name"] for node in plan.nodes() if node.get("Relation Name") == "chats"] == ["chats_pkey"]


async def test_a_list_is_planned_for_the_values_at_hand(crowded: Database) -> None:
    pools = create_pools(crowded.dsn, LIMITS, application_name="plans")
    begin = PostgresUnitOfWork(pools.requests, TransactionLimits())
    try:
        async with begin(CROWD.writer, Access.LIST) as tx:
            assert await tx.chats._connection.scalar(text("SHOW plan_cache_mode")) == CUSTOM
    finally:
        await pools.dispose()

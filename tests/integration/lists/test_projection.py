"""What nobody looks at is not fetched, and a count costs a statement only when it is asked for."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from domain.filters import Compare, Operand, Operator
from domain.messages.listing import MESSAGE_LIST
from domain.pagination import PageQuery
from domain.unit_of_work import Access
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresTransaction, PostgresUnitOfWork
from tests.contract.store.samples import a_chat_id, somebody
from tests.harness.postgres import Database
from tests.harness.statements import StatementCounter

LIMITS = PoolLimits(size=1, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))
ANN = somebody()


async def _chats(tx: PostgresTransaction, query: PageQuery) -> None:
    await tx.chats.page(query)


async def _messages(tx: PostgresTransaction, query: PageQuery) -> None:
    await tx.messages.page(a_chat_id(), query)


async def _sent(
    database: Database, read: Callable[[PostgresTransaction, PageQuery], Awaitable[None]], query: PageQuery
) -> list[str]:
    pools = create_pools(database.dsn, LIMITS, application_name="projection")
    begin = PostgresUnitOfWork(pools.requests, TransactionLimits())
    try:
        async with StatementCounter(pools.requests) as counter, begin(ANN, Access.READ) as tx:
            await read(tx, query)
    finally:
        await pools.dispose()
    return [statement for statement in counter.statements if not statement.startswith("BEGIN")]


@pytest.mark.parametrize(("read", "dear"), [(_chats, ("metadata",)), (_messages, ("content", "citations", "metadata"))])
async def test_dear_members_are_fetched_only_for_who_looks_at_them(
    database: Database, read: Callable[[PostgresTransaction, PageQuery], Awaitable[None]], dear: tuple[str, ...]
) -> None:
    (everything,) = await _sent(database, read, PageQuery(limit=5))
    (ids,) = await _sent(database, read, PageQuery(limit=5, members=frozenset({"id"})))
    (all_by_name,) = await _sent(database, read, PageQuery(limit=5, members=frozenset({"id", *dear})))
    for member in dear:
        assert f".{member}" in everything
        assert f".{member}" in all_by_name
        assert f".{member}" not in ids


@pytest.mark.parametrize("read", [_chats, _messages])
async def test_a_page_is_one_statement_and_with_its_count_two(
    database: Database, read: Callable[[PostgresTransaction, PageQuery], Awaitable[None]]
) -> None:
    assert len(await _sent(database, read, PageQuery(limit=5))) == 1
    assert len(await _sent(database, read, PageQuery(limit=5, counted=True))) == 2


async def test_no_value_of_a_filter_stands_in_the_text(database: Database) -> None:
    role = MESSAGE_LIST.find("role")
    assert role is not None
    injected = Compare(Operand(role), Operator.EQ, "CNRY' OR true --")
    for statement in await _sent(database, _messages, PageQuery(limit=5, filter=injected, counted=True)):
        assert "CNRY" not in statement

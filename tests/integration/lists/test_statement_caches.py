"""Filters of always new shapes leave nothing behind: neither compiled here nor prepared at the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final

import pytest
from sqlalchemy import text

from api.odata.parser import parsed_filter
from domain.chats.listing import CHAT_LIST
from domain.pagination import PageQuery
from domain.unit_of_work import Access
from infra.postgres.engine import PoolLimits, Pools, create_pools
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresTransaction, PostgresUnitOfWork
from tests.contract.store.samples import somebody
from tests.harness.postgres import Database

pytestmark = pytest.mark.postgres

LIMITS: Final = PoolLimits(size=2, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))
ANN: Final = somebody()


@asynccontextmanager
async def opened(database: Database) -> AsyncIterator[tuple[Pools, PostgresUnitOfWork]]:
    pools = create_pools(database.dsn, LIMITS, application_name="caches")
    try:
        yield pools, PostgresUnitOfWork(pools.requests, TransactionLimits())
    finally:
        await pools.dispose()


def compiled(pools: Pools) -> int:
    cache: Any = pools.requests.sync_engine._compiled_cache
    return len(cache)


async def prepared(tx: PostgresTransaction) -> set[str]:
    found = await tx.chats._connection.scalars(text("SELECT statement FROM pg_prepared_statements"))
    return {statement for statement in found if "strpos" in statement}


def with_conditions(amount: int) -> PageQuery:
    """Counted, so that there are two statements."""
    condition = parsed_filter(" or ".join(["contains(tolower(title),'x')"] * amount), CHAT_LIST)
    return PageQuery(limit=5, filter=condition, counted=True)


async def test_short_filters_are_compiled_and_prepared_once(database: Database) -> None:
    async with opened(database) as (pools, begin):
        sizes: list[int] = []
        for _ in range(3):
            async with begin(ANN, Access.LIST) as tx:
                await tx.chats.page(with_conditions(3))
                sizes.append(compiled(pools))
                assert len(await prepared(tx)) == 2
    assert sizes[0] > 0
    assert sizes[-1] <= sizes[0] + 1  # the question itself


async def test_long_filters_are_kept_neither_here_nor_at_the_server(database: Database) -> None:
    async with opened(database) as (pools, begin), begin(ANN, Access.LIST) as tx:
        await prepared(tx)
        before = compiled(pools)
        for amount in range(60, 65):
            await tx.chats.page(with_conditions(amount))
        await tx.chats.page(PageQuery(limit=5))
        assert compiled(pools) == before + 1
        assert await prepared(tx) == set()

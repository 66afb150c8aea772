"""The pools: what they bound, what they survive, what they leave on the server."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import anyio
import asyncpg
import pytest
from msgspec.structs import replace
from sqlalchemy import literal, select, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncEngine

from infra.postgres.engine import PoolLimits, Pools, create_pools
from tests.harness.postgres import Database

LIMITS = PoolLimits(size=1, reserved_size=1, acquire=timedelta(milliseconds=200), statement=timedelta(milliseconds=300))


@asynccontextmanager
async def _pools(database: Database, limits: PoolLimits = LIMITS) -> AsyncIterator[Pools]:
    pools = create_pools(database.dsn, limits, application_name="mini-chat test")
    try:
        yield pools
    finally:
        await pools.dispose()


async def _answers(engine: AsyncEngine) -> bool:
    async with engine.connect() as connection:
        return bool(await connection.scalar(text("SELECT true")))


def test_pools_are_made_without_an_event_loop() -> None:
    create_pools("postgresql://nobody@localhost:1/nothing", LIMITS, application_name="mini-chat")


async def test_an_exhausted_request_pool_refuses_in_time_and_leaves_the_reserved_one_alone(database: Database) -> None:
    async with _pools(database) as pools, pools.requests.connect():
        with anyio.fail_after(5), pytest.raises(PoolTimeout):
            await _answers(pools.requests)
        assert await _answers(pools.reserved)


async def test_connections_say_whose_they_are(database: Database) -> None:
    async with _pools(database) as pools, pools.reserved.connect() as connection:
        assert await connection.scalar(text("SHOW application_name")) == "mini-chat test reserved"


async def test_a_statement_that_the_server_does_not_stop_is_given_up_by_the_driver(database: Database) -> None:
    limits = replace(LIMITS, statement=timedelta(milliseconds=1))
    async with _pools(database, limits) as pools:
        with anyio.fail_after(5), pytest.raises((TimeoutError, DBAPIError)):
            async with pools.requests.connect() as connection:
                await connection.execute(text("SELECT pg_sleep(30)"))
        assert await _answers(pools.requests)


async def test_a_query_whose_client_has_gone_does_not_run_on(database: Database) -> None:
    observer = await asyncpg.connect(database.superuser_dsn)
    try:
        async with _pools(database) as pools:
            with anyio.move_on_after(0.1):
                async with pools.requests.connect() as connection:
                    await connection.execute(text("SELECT pg_sleep(30)"))
            with anyio.fail_after(5):
                while await observer.fetchval(  # noqa: ASYNC110 the server tells nobody when a query ends
                    "SELECT count(*) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(30)' AND state = 'active'"
                ):
                    await anyio.sleep(0.01)
    finally:
        await observer.close()


async def test_a_killed_connection_is_replaced(database: Database) -> None:
    async with _pools(database) as pools:
        async with pools.requests.connect() as connection:
            backend = await connection.scalar(text("SELECT pg_backend_pid()"))
        killer = await asyncpg.connect(database.superuser_dsn)
        await killer.execute("SELECT pg_terminate_backend($1, 5000)", backend)
        await killer.close()
        # While the server's goodbye is still under way, only using the connection shows that it is dead.
        with suppress(DBAPIError):
            await _answers(pools.requests)
        assert await _answers(pools.requests)


async def test_json_columns_come_back_as_they_went(database: Database) -> None:
    value = {"ä": [1, None, {"deep": "text"}]}
    async with _pools(database) as pools, pools.requests.connect() as connection:
        assert await connection.scalar(select(literal(value, JSONB))) == value

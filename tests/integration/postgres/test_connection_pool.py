"""Connections kept at hand between transactions, beside the pool that bounds them."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import pytest
from sqlalchemy import event, text

from domain.errors import ServiceUnavailable
from infra.postgres.connection_pool import ConnectionPool, driver_of
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.errors import DatabaseFault
from infra.postgres.transaction import transaction
from tests.harness.postgres import Database

LIMITS = PoolLimits(size=2, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))
ENDING = timedelta(seconds=3)


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[ConnectionPool]:
    pools = create_pools(database.dsn, LIMITS, application_name="at hand")
    yield pools.requests
    await pools.dispose()


async def backend(pool: ConnectionPool) -> int:
    """The server process behind the connection of one transaction that only the driver has used."""
    async with transaction(pool, "BEGIN", ENDING, driver_of) as driver:
        return int(await driver.fetchval("SELECT pg_backend_pid()"))


async def test_the_next_transaction_has_the_connection_of_the_last(pool: ConnectionPool) -> None:
    assert await backend(pool) == await backend(pool)
    assert pool.pool.checkedout() == 1  # type: ignore[attr-defined] # a queue pool, by its configuration


async def test_one_connection_is_always_left_for_whoever_asks_the_engine(pool: ConnectionPool) -> None:
    async with transaction(pool, "BEGIN", ENDING, driver_of):
        await backend(pool)
    with anyio.fail_after(2):
        async with pool.connect() as connection:
            assert await connection.scalar(text("SELECT true"))


async def test_a_connection_that_somebody_waits_for_is_not_kept(pool: ConnectionPool) -> None:
    served: list[int] = []

    async def wait() -> None:
        served.append(await backend(pool))

    with anyio.fail_after(4):
        async with (
            anyio.create_task_group() as tasks,
            transaction(pool, "BEGIN", ENDING, driver_of),
            transaction(pool, "BEGIN", ENDING, driver_of) as driver,
        ):
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            mine = await driver.fetchval("SELECT pg_backend_pid()")
    assert served == [mine]


async def test_a_connection_that_was_closed_meanwhile_is_replaced(pool: ConnectionPool) -> None:
    async with transaction(pool, "BEGIN", ENDING, driver_of) as driver:
        first = await driver.fetchval("SELECT pg_backend_pid()")
    driver.terminate()
    assert await backend(pool) != first


async def test_nothing_of_a_transaction_is_left_on_a_connection_at_hand(pool: ConnectionPool) -> None:
    async with transaction(pool, "BEGIN; SET LOCAL app.tenant = 'a'", ENDING, lambda begun: begun) as connection:
        assert await connection.scalar(text("SELECT current_setting('app.tenant')")) == "a"
    async with transaction(pool, "BEGIN", ENDING, driver_of) as driver:
        assert not await driver.fetchval("SELECT current_setting('app.tenant', true)")


async def test_one_that_failed_rolled_back_and_serves_again(pool: ConnectionPool) -> None:
    first = await backend(pool)

    async def fail() -> None:
        async with transaction(pool, "BEGIN", ENDING, driver_of) as driver:
            await driver.execute("CREATE TEMP TABLE left_behind (id int)")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    async with transaction(pool, "BEGIN", ENDING, driver_of) as driver:
        assert await driver.fetchval("SELECT pg_backend_pid()") == first
        assert await driver.fetchval("SELECT to_regclass('left_behind')") is None


async def test_to_dispose_closes_what_is_at_hand(pool: ConnectionPool) -> None:
    async with transaction(pool, "BEGIN", ENDING, driver_of) as driver:
        pass
    await pool.dispose()
    assert driver.is_closed()


async def test_a_server_that_goes_away_while_it_lets_us_in_is_an_outage_and_no_fault_of_ours(
    pool: ConnectionPool,
) -> None:
    def leave(connection: Any, *_: object) -> None:
        connection.driver_connection.terminate()

    event.listen(pool.sync_engine, "connect", leave, insert=True)
    with pytest.raises(ServiceUnavailable):
        await backend(pool)
    event.remove(pool.sync_engine, "connect", leave)
    await backend(pool)


async def test_a_transaction_that_failed_inside_never_ends_as_if_it_were_committed(pool: ConnectionPool) -> None:
    async def swallow() -> None:
        async with transaction(pool, "BEGIN", ENDING, driver_of) as driver:
            with suppress(asyncpg.PostgresError):
                await driver.execute("SELECT 1 / 0")

    with pytest.raises(DatabaseFault):
        await swallow()
    await backend(pool)

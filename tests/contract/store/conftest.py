from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import asyncpg
import pytest

from domain.clock import SystemClock
from infra.postgres.engine import PoolLimits, create_pools
from tests.contract.store.backends import InMemory, InPostgres, Store
from tests.fakes.store import MemoryStore
from tests.harness.postgres import Database

LIMITS = PoolLimits(size=2, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))


@pytest.fixture(scope="module", params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def kept_in(request: pytest.FixtureRequest) -> Iterator[Database | None]:
    """One database for all tests of a module: each acts as people of tenants that nobody else has."""
    if request.param == "memory":
        yield None
        return
    with request.getfixturevalue("postgres_server").database() as database:
        yield database


@pytest.fixture
async def store(kept_in: Database | None) -> AsyncIterator[Store]:
    if kept_in is None:
        yield InMemory(MemoryStore(SystemClock()))
        return
    pools = create_pools(kept_in.dsn, LIMITS, application_name="contract")
    back_door = await asyncpg.connect(kept_in.superuser_dsn)
    await back_door.execute("SET session_replication_role = replica")
    try:
        yield InPostgres(pools.requests, back_door)
    finally:
        await back_door.close()
        await pools.dispose()

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from domain.clock import SystemClock
from infra.postgres.dsn import DIALECT
from tests.contract.store.backends import InMemory, InPostgres, Store
from tests.fakes.store import MemoryStore
from tests.harness.postgres import Database


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
    engine = create_async_engine(DIALECT, connect_args={"dsn": kept_in.dsn}, pool_size=2, max_overflow=0)
    back_door = await asyncpg.connect(kept_in.superuser_dsn)
    await back_door.execute("SET session_replication_role = replica")
    try:
        yield InPostgres(engine, back_door)
    finally:
        await back_door.close()
        await engine.dispose()

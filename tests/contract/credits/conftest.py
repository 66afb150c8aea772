from collections.abc import AsyncIterator, Iterator

import pytest

from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.harness.jobs import transactions
from tests.harness.postgres import Database, PostgresServer


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    """For all tests of a module: each acts as people of tenants that nobody else has."""
    with postgres_server.database() as database:
        yield database


@pytest.fixture
async def begin(module_database: Database) -> AsyncIterator[PostgresUnitOfWork]:
    async with transactions(module_database.dsn) as begin:
        yield begin

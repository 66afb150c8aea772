"""One database and one upstream for the tests of a module, because starting a server takes seconds."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.client import Client
from tests.harness.postgres import Database, PostgresServer
from tests.harness.service import Service
from tests.harness.upstream import Upstream


@pytest.fixture(scope="module")
def shared_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
async def upstream(anyio_backend: object) -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    """A caller of the module's own `service`, audited afterwards."""
    async with service.caller() as client:
        yield client

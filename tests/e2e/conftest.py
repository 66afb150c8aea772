"""One server for the tests that need nothing special of it: starting one takes seconds."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.harness.postgres import Database, PostgresServer
from tests.harness.service import Service, serving, settings
from tests.harness.upstream import Upstream


@pytest.fixture(scope="package")
def shared_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="package")
async def upstream(anyio_backend: object) -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="package")
async def service(
    shared_database: Database, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    """Its models: `echo`, and `remote` at the upstream."""
    env = settings(shared_database, {"echo": "mock-echo"}, upstream)
    async with serving(tmp_path_factory.mktemp("e2e"), shared_database, env) as service:
        yield service

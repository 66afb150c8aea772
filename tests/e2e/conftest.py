"""One database for the tests of a module, because starting a server takes seconds."""

from collections.abc import Iterator

import pytest

from tests.harness.postgres import Database, PostgresServer


@pytest.fixture(scope="module")
def shared_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database

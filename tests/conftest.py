"""Fixtures every kind of test may use."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from tests.harness.postgres import Database, PostgresServer
    from tests.harness.redis import RedisServer

# A busy machine is no fault of what is tested: nothing here is judged by the clock on the wall.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, object]]:
    return "asyncio", {"use_uvloop": True}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        if "postgres_server" in fixtures:
            item.add_marker(pytest.mark.postgres)
        if {"redis_server", "own_redis"} & set(fixtures):
            item.add_marker(pytest.mark.redis)


@pytest.fixture(scope="session")
def postgres_server() -> "Iterator[PostgresServer]":
    from tests.harness.postgres import running_server  # noqa: PLC0415 unit tests need not pay for the drivers

    with running_server() as server:
        logging.getLogger(__name__).info("PostgreSQL for the tests: %s", server.kind)
        yield server


@pytest.fixture
def database(postgres_server: "PostgresServer") -> "Iterator[Database]":
    """A migrated, empty database of the test's own."""
    with postgres_server.database() as database:
        yield database


@pytest.fixture
def empty_database(postgres_server: "PostgresServer") -> "Iterator[Database]":
    """A database that was never migrated, in a cluster whose roles exist."""
    with postgres_server.database(migrated=False) as database:
        yield database


@pytest.fixture(scope="session")
def redis_server() -> "Iterator[RedisServer]":
    """Shared: nobody kills it or empties it."""
    from tests.harness.redis import running_redis  # noqa: PLC0415 unit tests need not pay for the drivers

    with running_redis() as server:
        logging.getLogger(__name__).info("Redis for the tests: %s", server.kind)
        yield server


@pytest.fixture
def own_redis() -> "Iterator[RedisServer]":
    """The test's own, to do anything to."""
    from tests.harness.redis import running_redis  # noqa: PLC0415 unit tests need not pay for the drivers

    with running_redis() as server:
        yield server

"""One server for the tests whose faults come from outside of it: starting one takes seconds."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import pytest

from tests.harness.client import Client
from tests.harness.postgres import Database, PostgresServer
from tests.harness.processes import free_port
from tests.harness.service import Service, serving, settings
from tests.harness.upstream import Upstream

SEND_DEADLINE: Final = "300ms"
PATIENCE: Final = {"headers": "300ms", "first_token": "300ms", "idle": "300ms"}


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
    """Its models: `remote` at the upstream, `hasty` as well but soon out of patience, `closed` where nobody listens."""
    env = settings(
        shared_database,
        {"echo": "mock-echo"},
        upstream,
        {"id": "hasty", "provider_id": "openai", "provider_model_id": "remote", "deadlines": PATIENCE},
        {"id": "closed", "provider_id": "closed", "provider_model_id": "closed"},
    )
    env |= {
        "MINI_CHAT_STREAMING_SEND_DEADLINE": SEND_DEADLINE,
        "MINI_CHAT_PROVIDERS__CLOSED__KIND": "openai_chat",
        "MINI_CHAT_PROVIDERS__CLOSED__BASE_URL": f"http://127.0.0.1:{free_port()}",
        "MINI_CHAT_PROVIDERS__CLOSED__ALLOW_HTTP": "true",
        "MINI_CHAT_PROVIDERS__CLOSED__ALLOW_PRIVATE_NETWORK": "true",
        "MINI_CHAT_PROVIDERS__CLOSED__BREAKER_FAILURES": "0",
    }
    async with serving(tmp_path_factory.mktemp("fault"), shared_database, env) as service:
        yield service


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    """A caller of the shared server, audited afterwards."""
    async with service.caller() as client:
        yield client

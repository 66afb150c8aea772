"""What operators decided is added and never changed, whoever the service's login is stolen by."""

from collections.abc import AsyncIterator
from uuid import uuid4

import asyncpg
import pytest

from tests.harness.postgres import Database
from tests.harness.rows import connected

pytestmark = pytest.mark.postgres

TABLES = ("kill_switches", "model_overrides", "policy_snapshots")
ADD = """
    INSERT INTO mini_chat.kill_switches (id, scope, target, version, mode, reason, created_by)
    VALUES ($1, $2, $3, $4, 'abort', 'a test', $1)
"""


@pytest.fixture
async def service(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with connected(database.dsn) as connection:
        yield connection


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("statement", ["DELETE FROM {}", "TRUNCATE {}", "UPDATE {} SET version = 9"])
async def test_the_service_can_add_and_nothing_else(service: asyncpg.Connection, table: str, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(statement.format(f"mini_chat.{table}"))


async def test_a_version_of_a_switch_exists_once(service: asyncpg.Connection) -> None:
    await service.execute(ADD, uuid4(), "model", "m", 1)
    with pytest.raises(asyncpg.UniqueViolationError):
        await service.execute(ADD, uuid4(), "model", "m", 1)


@pytest.mark.parametrize(("scope", "target"), [("global", "x"), ("model", "*"), ("planet", "x")])
async def test_only_the_scope_global_is_about_everything(service: asyncpg.Connection, scope: str, target: str) -> None:
    with pytest.raises(asyncpg.CheckViolationError):
        await service.execute(ADD, uuid4(), scope, target, 1)

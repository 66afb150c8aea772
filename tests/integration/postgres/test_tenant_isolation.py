"""Nobody's rows without a tenant, one's own with it, and never a thread from one tenant to another."""

from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest

from tests.harness.postgres import Database
from tests.harness.rows import Tenant, acting_for, add_chat, add_running_turn, connected, insert

TABLES: Final = ("chats", "messages", "chat_turns", "turn_parts")

OURS, THEIRS = Tenant(), Tenant()


@pytest.fixture
async def service(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """The service's own role, in a database where two tenants have a running turn with a saved part."""
    async with connected(database.dsn) as connection:
        for tenant in (OURS, THEIRS):
            async with acting_for(connection, tenant.tenant_id):
                await add_chat(connection, tenant)
                await add_running_turn(connection, tenant)
                await _add_part(connection, tenant)
        yield connection


async def _add_part(connection: asyncpg.Connection, tenant: Tenant) -> None:
    await insert(
        connection,
        "turn_parts",
        tenant_id=tenant.tenant_id,
        turn_id=tenant.turn_id,
        owner_epoch=1,
        part_no=0,
        last_event=2,
        body="Hel",
    )


async def _count(connection: asyncpg.Connection, table: str) -> int:
    number: int = await connection.fetchval(f"SELECT count(*) FROM mini_chat.{table}")  # noqa: S608 one of TABLES
    return number


@pytest.mark.parametrize("table", TABLES)
async def test_a_tenant_sees_its_own_rows_alone(service: asyncpg.Connection, table: str) -> None:
    async with acting_for(service, OURS.tenant_id):
        assert await service.fetch(f"SELECT DISTINCT tenant_id FROM mini_chat.{table}") == [(OURS.tenant_id,)]  # noqa: S608 one of TABLES


@pytest.mark.parametrize("table", TABLES)
async def test_without_a_tenant_there_are_no_rows(service: asyncpg.Connection, table: str) -> None:
    """The connection has served tenants before, so the setting is empty rather than unknown."""
    async with acting_for(service, None):
        assert await service.fetchval("SELECT current_setting('app.tenant', true)") == ""
        assert await _count(service, table) == 0


async def test_without_a_tenant_nothing_can_be_written(service: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with acting_for(service, None):
            await add_chat(service, Tenant())
    async with acting_for(service, None):
        assert await service.execute("UPDATE mini_chat.chats SET title = 'taken'") == "UPDATE 0"
        assert await service.execute("DELETE FROM mini_chat.turn_parts") == "DELETE 0"


async def test_the_tenant_does_not_outlive_a_failed_transaction(service: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.DivisionByZeroError):
        async with acting_for(service, OURS.tenant_id):
            await service.execute("SELECT 1/0")
    assert await _count(service, "chats") == 0


async def test_a_row_of_another_tenant_cannot_be_written(service: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with acting_for(service, OURS.tenant_id):
            await add_chat(service, Tenant(tenant_id=THEIRS.tenant_id))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with acting_for(service, OURS.tenant_id):
            await service.execute("UPDATE mini_chat.chats SET tenant_id = $1", THEIRS.tenant_id)


async def test_a_turn_cannot_point_at_a_chat_of_another_tenant(service: asyncpg.Connection) -> None:
    """The key holds because the reference carries the tenant, whoever may see what."""
    stray = Tenant(tenant_id=OURS.tenant_id, chat_id=THEIRS.chat_id)
    with pytest.raises(asyncpg.ForeignKeyViolationError) as refused:
        async with acting_for(service, OURS.tenant_id):
            await add_running_turn(service, stray)
    assert refused.value.constraint_name == "fk_turns_chat"


@pytest.mark.parametrize("setting", ["x' or '1'='1", "not-a-uuid"])
async def test_a_tenant_that_is_no_uuid_opens_nothing(service: asyncpg.Connection, setting: str) -> None:
    async with service.transaction():
        await service.execute("SELECT set_config('app.tenant', $1, true)", setting)
        with pytest.raises(asyncpg.InvalidTextRepresentationError):
            await _count(service, "chats")


@pytest.mark.parametrize("statement", ["TRUNCATE mini_chat.turn_parts", "DELETE FROM mini_chat.messages"])
async def test_the_service_cannot_remove_what_it_must_keep(service: asyncpg.Connection, statement: str) -> None:
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        async with acting_for(service, OURS.tenant_id):
            await service.execute(statement)


async def test_one_plan_serves_two_tenants_without_mixing_them(service: asyncpg.Connection) -> None:
    seen = await service.prepare("SELECT tenant_id FROM mini_chat.chats")
    for _ in range(20):
        for tenant in (OURS, THEIRS):
            async with acting_for(service, tenant.tenant_id):
                assert await seen.fetchval() == tenant.tenant_id

"""The self-check names every way in which a login or a schema could let tenants see each other."""

from datetime import timedelta
from typing import Final

import asyncpg
import pytest

from infra.postgres import migrate
from infra.postgres.embedded import RUNTIME_ROLE
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.role_check import NEWEST_VERSION, OLDEST_VERSION, UnsafeDatabase, check_runtime_role
from tests.harness.postgres import Database

LIMITS: Final = PoolLimits(size=1, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))


async def _execute(database: Database, *statements: str) -> None:
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _violations(dsn: str) -> tuple[str, ...]:
    pools = create_pools(dsn, LIMITS, application_name="mini-chat test")
    try:
        await check_runtime_role(pools.requests)
    except UnsafeDatabase as unsafe:
        return unsafe.violations
    finally:
        await pools.dispose()
    return ()


async def test_the_migrated_schema_and_the_runtime_role_pass(database: Database) -> None:
    assert await _violations(database.dsn) == ()


async def test_a_superuser_is_refused(database: Database) -> None:
    assert await _violations(database.superuser_dsn) == ("postgres is a superuser",)


async def test_a_database_that_was_never_migrated_is_refused(empty_database: Database) -> None:
    assert await _violations(empty_database.dsn) == ("the database has no mini_chat schema: run mini-chat migrate",)


SCHEMA_FAULTS: Final = {
    "ALTER TABLE mini_chat.chats OWNER TO mini_chat_app": "mini_chat_app owns mini_chat.chats",
    "ALTER SCHEMA mini_chat OWNER TO mini_chat_app": "mini_chat_app owns the schema mini_chat",
    "GRANT CREATE ON SCHEMA public TO mini_chat_app": "mini_chat_app may create objects in the schema public",
    "GRANT CREATE ON SCHEMA mini_chat TO PUBLIC": "mini_chat_app may create objects in the schema mini_chat",
    "GRANT TRUNCATE ON mini_chat.messages TO mini_chat_app": "mini_chat_app holds TRUNCATE on mini_chat.messages",
    "GRANT REFERENCES ON mini_chat.messages TO mini_chat_app": "mini_chat_app holds REFERENCES on mini_chat.messages",
    "ALTER TABLE mini_chat.chats DISABLE ROW LEVEL SECURITY": "mini_chat.chats has no forced row-level security",
    "ALTER TABLE mini_chat.chats NO FORCE ROW LEVEL SECURITY": "mini_chat.chats has no forced row-level security",
    "CREATE TABLE mini_chat.notes (tenant_id uuid)": "mini_chat.notes has no policy for mini_chat_app",
    "DROP POLICY tenant_rows ON mini_chat.messages": "mini_chat.messages has no policy for mini_chat_app",
    "CREATE POLICY peek ON mini_chat.chats FOR SELECT USING (true)": (
        "mini_chat.chats has another policy than the tenant's: peek"
    ),
    "ALTER POLICY tenant_rows ON mini_chat.chats USING (true)": (
        "mini_chat.chats has another policy than the tenant's: tenant_rows"
    ),
    "ALTER POLICY tenant_rows ON mini_chat.chats WITH CHECK (true)": (
        "mini_chat.chats has another policy than the tenant's: tenant_rows"
    ),
    "UPDATE mini_chat.schema_migrations SET version_num = '0000'": (
        f"the schema is at version 0000, this program works with {OLDEST_VERSION} to {NEWEST_VERSION}"
    ),
    "UPDATE mini_chat.schema_migrations SET version_num = '9999'": (
        f"the schema is at version 9999, this program works with {OLDEST_VERSION} to {NEWEST_VERSION}"
    ),
    "DELETE FROM mini_chat.schema_migrations": (
        f"the schema is at version none, this program works with {OLDEST_VERSION} to {NEWEST_VERSION}"
    ),
}


@pytest.mark.parametrize("fault", SCHEMA_FAULTS)
async def test_a_gap_in_the_schema_is_named(database: Database, fault: str) -> None:
    await _execute(database, fault)
    assert SCHEMA_FAULTS[fault] in await _violations(database.dsn)


async def test_create_on_the_database_is_named(database: Database) -> None:
    await _execute(database, f"GRANT CREATE ON DATABASE {database.name} TO mini_chat_app")
    expected = f"mini_chat_app may create schemas in the database {database.name}"
    assert await _violations(database.dsn) == (expected,)


ROLE_FAULTS: Final = {
    "bypasses": ("ALTER ROLE {role} BYPASSRLS", "{role} may act as {role}, which bypasses row-level security"),
    "superior": ("GRANT postgres TO {role}", "{role} may act as postgres, which is a superuser"),
    "owner": ("GRANT mini_chat_owner TO {role}", "{role} owns mini_chat.chats"),
    "inherits": ("GRANT mini_chat_ops TO {role}", "{role} inherits mini_chat_ops instead of entering it"),
}


@pytest.mark.parametrize("fault", ROLE_FAULTS)
async def test_a_login_with_too_many_rights_is_named(database: Database, fault: str) -> None:
    role = f"{fault}_of_{database.name}"
    planted, violation = ROLE_FAULTS[fault]
    await _execute(database, f"CREATE ROLE {role} LOGIN INHERIT PASSWORD 'disposable'")
    try:
        await _execute(database, f"GRANT mini_chat_app TO {role}", planted.format(role=role))
        found = await _violations(database.dsn.replace(RUNTIME_ROLE, role))
    finally:
        await _execute(database, f"DROP ROLE {role}")
    assert violation.format(role=role) in found


async def test_a_service_that_cannot_keep_its_leases_is_named_and_mended_by_the_next_migration(
    database: Database,
) -> None:
    await _execute(database, "REVOKE mini_chat_ops FROM mini_chat_app")
    try:
        assert await _violations(database.dsn) == ("mini_chat_app may not enter mini_chat_ops",)
    finally:
        await migrate.upgrade(database.superuser_dsn)
    assert await _violations(database.dsn) == ()


async def test_a_login_without_the_rights_of_the_service_is_named(database: Database) -> None:
    role = f"stranger_of_{database.name}"
    await _execute(database, f"CREATE ROLE {role} LOGIN PASSWORD 'disposable'")
    try:
        found = await _violations(database.dsn.replace(RUNTIME_ROLE, role))
    finally:
        await _execute(database, f"DROP ROLE {role}")
    assert found == (f"{role} does not have the rights of mini_chat_app",)

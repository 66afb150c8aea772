"""Every table is a tenant's, in key, index, foreign key and policy, or it is named as one that is not."""

from typing import Final

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from infra.postgres.audit.tenancy_checks import TENANCY_CHECKS
from infra.postgres.dsn import DIALECT
from infra.postgres.role_check import find_violations
from tests.harness.postgres import Database


async def _faults(database: Database) -> list[str]:
    """What is wrong with the tables themselves, then what the start-up check would refuse."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        rows = await connection.fetch(TENANCY_CHECKS["gap_between_tenants"])
    finally:
        await connection.close()
    engine = create_async_engine(DIALECT, poolclass=NullPool, connect_args={"dsn": database.dsn})
    async with engine.connect() as service:
        return [*(row[0] for row in rows), *await find_violations(service)]


async def test_every_table_is_behind_its_tenant(database: Database) -> None:
    assert await _faults(database) == []


_KEY = "tenant_id uuid, id uuid, PRIMARY KEY (tenant_id, id)"

PLANTED: Final = {
    "CREATE TABLE mini_chat.bad (id uuid PRIMARY KEY)": {
        "bad: the primary key does not begin with tenant_id",
        "bad: the index mini_chat.bad_pkey does not begin with tenant_id",
        "bad: does not belong to mini_chat_owner",
        "mini_chat.bad has no forced row-level security",
        "mini_chat.bad has no policy for mini_chat_app",
    },
    "CREATE TABLE mini_chat.bad (tenant_id uuid, id uuid, PRIMARY KEY (id, tenant_id))": {
        "bad: the primary key does not begin with tenant_id",
    },
    f"CREATE TABLE mini_chat.bad ({_KEY}, name text UNIQUE)": {
        "bad: the index mini_chat.bad_name_key does not begin with tenant_id",
    },
    f"CREATE TABLE mini_chat.bad ({_KEY}, chat uuid, FOREIGN KEY (id, chat) REFERENCES mini_chat.chats)": {
        "bad: the foreign key bad_id_chat_fkey does not carry tenant_id to tenant_id",
    },
    f"CREATE TABLE mini_chat.bad ({_KEY}, FOREIGN KEY (tenant_id, id) REFERENCES mini_chat.chats ON DELETE CASCADE)": {
        "bad: the foreign key bad_tenant_id_id_fkey cascades",
    },
    f"""
    CREATE TABLE mini_chat.parted ({_KEY}) PARTITION BY HASH (tenant_id);
    CREATE TABLE mini_chat.bad PARTITION OF mini_chat.parted FOR VALUES WITH (MODULUS 1, REMAINDER 0)
    """: {"mini_chat.bad has no forced row-level security"},
    "GRANT SELECT ON mini_chat.chats TO PUBLIC": {"chats: PUBLIC holds SELECT"},
    "GRANT DELETE ON mini_chat.messages TO mini_chat_app": {"messages: mini_chat_app may delete"},
    "GRANT TRUNCATE ON mini_chat.chats TO mini_chat_app": {"mini_chat_app holds TRUNCATE on mini_chat.chats"},
    "CREATE VIEW mini_chat.bad AS SELECT * FROM mini_chat.chats": {"bad: the view is not security_invoker"},
    "CREATE MATERIALIZED VIEW mini_chat.bad AS SELECT * FROM mini_chat.chats": {
        "bad: a materialised view has no policies",
    },
    "CREATE FUNCTION mini_chat.bad() RETURNS bigint SECURITY DEFINER LANGUAGE sql AS 'SELECT 1'": {
        "bad: the function is SECURITY DEFINER or LEAKPROOF",
    },
}


@pytest.mark.parametrize("planted", PLANTED)
async def test_a_planted_fault_is_found(database: Database, planted: str) -> None:
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        await connection.execute(planted)
    finally:
        await connection.close()
    assert set(await _faults(database)) >= PLANTED[planted]

"""Every table is a tenant's, in key, index, foreign key and policy, or it is named as one that is not."""

from typing import Final

import asyncpg
import pytest
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from infra.postgres.dsn import DIALECT
from infra.postgres.role_check import GLOBAL_TABLES, find_violations
from tests.harness.postgres import Database

_FAULTS: Final = """
WITH tenant_table AS (
    SELECT c.oid, c.relname, (
        SELECT attnum FROM pg_attribute WHERE attrelid = c.oid AND attname = 'tenant_id' AND atttypid = 'uuid'::regtype
    ) AS tenant
    FROM pg_class c
    WHERE c.relnamespace = 'mini_chat'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname <> ALL ($1::name[])
)
SELECT format('%s: the primary key does not begin with tenant_id', relname) FROM tenant_table
WHERE NOT EXISTS (SELECT FROM pg_constraint WHERE conrelid = tenant_table.oid AND contype = 'p' AND conkey[1] = tenant)
UNION ALL
SELECT format('%s: the index %s does not begin with tenant_id', relname, indexrelid::regclass)
FROM tenant_table JOIN pg_index ON indrelid = tenant_table.oid
WHERE indkey[0] IS DISTINCT FROM tenant
UNION ALL
SELECT format('%s: the foreign key %s does not carry tenant_id to tenant_id', relname, conname)
FROM tenant_table JOIN pg_constraint ON conrelid = tenant_table.oid AND contype = 'f'
WHERE NOT EXISTS (
    SELECT FROM unnest(conkey, confkey) AS pair (ours, theirs)
    JOIN pg_attribute target ON target.attrelid = confrelid AND target.attnum = pair.theirs
    WHERE pair.ours = tenant AND target.attname = 'tenant_id')
UNION ALL
SELECT format('%s: the foreign key %s cascades', relname, conname)
FROM tenant_table JOIN pg_constraint ON conrelid = tenant_table.oid AND contype = 'f'
WHERE confdeltype <> 'a' OR confupdtype <> 'a'
UNION ALL
SELECT format('%s: does not belong to mini_chat_owner', relname)
FROM pg_class WHERE relnamespace = 'mini_chat'::regnamespace AND relkind IN ('r', 'p', 'v', 'm')
    AND relowner <> 'mini_chat_owner'::regrole
UNION ALL
SELECT format('%s: PUBLIC holds %s', c.relname, acl.privilege_type)
FROM pg_class c, aclexplode(c.relacl) AS acl
WHERE c.relnamespace = 'mini_chat'::regnamespace AND acl.grantee = 0
UNION ALL
SELECT format('%s: mini_chat_app may delete', relname)
FROM tenant_table WHERE relname <> ALL ($2::name[]) AND has_table_privilege('mini_chat_app', oid, 'DELETE')
UNION ALL
SELECT format('%s: the view is not security_invoker', relname)
FROM pg_class WHERE relnamespace = 'mini_chat'::regnamespace AND relkind = 'v'
    AND NOT coalesce('security_invoker=true' = ANY (reloptions), false)
UNION ALL
SELECT format('%s: a materialised view has no policies', relname)
FROM pg_class WHERE relnamespace = 'mini_chat'::regnamespace AND relkind = 'm'
UNION ALL
SELECT format('%s: the function is SECURITY DEFINER or LEAKPROOF', proname)
FROM pg_proc WHERE pronamespace = 'mini_chat'::regnamespace AND (prosecdef OR proleakproof)
"""

DELETABLE: Final = ("turn_parts",)


async def _faults(database: Database) -> list[str]:
    """What is wrong with the tables themselves, then what the start-up check would refuse."""
    connection = await asyncpg.connect(database.superuser_dsn)
    try:
        rows = await connection.fetch(_FAULTS, sorted(GLOBAL_TABLES), DELETABLE)
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

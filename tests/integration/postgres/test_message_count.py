"""A chat's count of live messages follows its messages, whoever writes them and however many at once."""

from collections.abc import AsyncIterator
from importlib import import_module
from typing import Final
from uuid import UUID, uuid4

import anyio
import asyncpg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from infra.postgres.dsn import DIALECT
from tests.harness.postgres import Database
from tests.harness.rows import Tenant, acting_for, add_chat, add_running_turn, connected

TENANT: Final = Tenant()
OTHER_CHAT: Final = Tenant(tenant_id=TENANT.tenant_id, user_id=TENANT.user_id)

SAY: Final = """
    INSERT INTO mini_chat.messages
        (tenant_id, id, chat_id, turn_id, request_id, seq, role, content, is_partial, deleted_at)
    SELECT $1, gen_random_uuid(), $2, gen_random_uuid(), gen_random_uuid(), $3 + step, 'user', 'hello', false,
        CASE WHEN $5 THEN now() END
    FROM generate_series(1, $4) AS step"""

BACK_TO_0004: Final = """
    DROP TRIGGER tg_messages_count_inserted ON mini_chat.messages;
    DROP TRIGGER tg_messages_count_updated ON mini_chat.messages;
    DROP TRIGGER tg_messages_count_deleted ON mini_chat.messages;
    DROP FUNCTION mini_chat.count_live_messages();
    ALTER TABLE mini_chat.chats DROP COLUMN message_count;
    DROP INDEX mini_chat.ix_chats_deleted"""


@pytest.fixture
async def service(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """The service's own login, with row-level security, as a program that has never heard of the count."""
    async with connected(database.dsn) as connection:
        async with acting_for(connection, TENANT.tenant_id):
            await add_chat(connection, TENANT)
            await add_chat(connection, OTHER_CHAT)
        yield connection


@pytest.fixture
async def superuser(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with connected(database.superuser_dsn) as connection:
        yield connection


async def count(connection: asyncpg.Connection, chat_id: UUID = TENANT.chat_id) -> int:
    async with acting_for(connection, TENANT.tenant_id):
        found: int = await connection.fetchval("SELECT message_count FROM mini_chat.chats WHERE id = $1", chat_id)
        return found


async def say(
    connection: asyncpg.Connection, messages: int, *, after: int = 0, chat_id: UUID = TENANT.chat_id, gone: bool = False
) -> None:
    """Messages of no turn: what binds them to one is checked at the commit, which the caller takes back."""
    await connection.execute(SAY, TENANT.tenant_id, chat_id, after, messages, gone)


async def do(connection: asyncpg.Connection, statement: str) -> None:
    async with acting_for(connection, TENANT.tenant_id):
        await connection.execute(statement)


async def migrate_to_0005(database: Database) -> None:
    """The one version alone, as the owner: those after it have their tables already."""
    version = import_module("migrations.versions.0005_expand_counted_messages")

    def upgrade(connection: Connection) -> None:
        with Operations.context(MigrationContext.configure(connection)):
            version.upgrade()

    engine = create_async_engine(DIALECT, poolclass=NullPool, connect_args={"dsn": database.superuser_dsn})
    async with engine.begin() as connection:
        await connection.exec_driver_sql("SET LOCAL ROLE mini_chat_owner")
        await connection.run_sync(upgrade)


async def test_a_program_that_does_not_count_is_counted(service: asyncpg.Connection) -> None:
    async with acting_for(service, TENANT.tenant_id):
        await add_running_turn(service, TENANT)
    assert await count(service) == 1
    await do(service, "UPDATE mini_chat.messages SET deleted_at = now()")
    assert await count(service) == 0
    await do(service, "UPDATE mini_chat.messages SET deleted_at = now() + interval '1 s'")
    assert await count(service) == 0
    await do(service, "UPDATE mini_chat.messages SET deleted_at = NULL")
    assert await count(service) == 1
    await do(service, "UPDATE mini_chat.messages SET content = 'other'")
    assert await count(service) == 1


async def test_a_statement_may_write_many_messages_of_many_chats(superuser: asyncpg.Connection) -> None:
    for chat in (TENANT, OTHER_CHAT):
        await add_chat(superuser, chat)
    transaction = superuser.transaction()
    await transaction.start()
    await say(superuser, 5)
    await say(superuser, 3, after=5, gone=True)
    await say(superuser, 2, chat_id=OTHER_CHAT.chat_id)
    counts = "SELECT message_count FROM mini_chat.chats ORDER BY message_count DESC"
    assert [row[0] for row in await superuser.fetch(counts)] == [5, 2]
    await superuser.execute("UPDATE mini_chat.messages SET deleted_at = now() WHERE seq = 1")
    assert [row[0] for row in await superuser.fetch(counts)] == [4, 1]
    move = "UPDATE mini_chat.messages SET chat_id = $1, seq = seq + 100 WHERE chat_id = $2"
    await superuser.execute(move, OTHER_CHAT.chat_id, TENANT.chat_id)
    assert [row[0] for row in await superuser.fetch(counts)] == [5, 0]
    await superuser.execute("DELETE FROM mini_chat.messages WHERE seq IN (2, 103, 106)")
    assert [row[0] for row in await superuser.fetch(counts)] == [3, 0]
    await transaction.rollback()
    assert [row[0] for row in await superuser.fetch(counts)] == [0, 0]


async def test_writers_of_one_chat_lose_no_count(database: Database, superuser: asyncpg.Connection) -> None:
    await add_chat(superuser, TENANT)
    await superuser.execute("ALTER TABLE mini_chat.messages DROP CONSTRAINT fk_messages_turn")

    async def write(place: int) -> None:
        async with connected(database.dsn) as connection:
            for step in range(10):
                async with acting_for(connection, TENANT.tenant_id):
                    await say(connection, 1, after=place * 1000 + step)

    async with anyio.create_task_group() as writers:
        for place in range(5):
            writers.start_soon(write, place)
    assert await superuser.fetchval("SELECT message_count FROM mini_chat.chats") == 50


async def test_migrating_counts_what_is_there(database: Database, superuser: asyncpg.Connection) -> None:
    await superuser.execute(BACK_TO_0004)
    await superuser.execute("ALTER TABLE mini_chat.messages DROP CONSTRAINT fk_messages_turn")
    tenants = [TENANT, OTHER_CHAT, Tenant()]
    for tenant in tenants:
        await add_chat(superuser, tenant)
    await say(superuser, 3)
    await say(superuser, 2, after=3, gone=True)
    await superuser.execute(SAY, tenants[2].tenant_id, tenants[2].chat_id, 0, 4, False)

    await migrate_to_0005(database)

    found = await superuser.fetch("SELECT id, message_count FROM mini_chat.chats")
    assert dict(found) == dict(zip((tenant.chat_id for tenant in tenants), (3, 0, 4), strict=True))
    walls = "SELECT bool_and(relforcerowsecurity) FROM pg_class WHERE relname IN ('chats', 'messages')"
    assert await superuser.fetchval(walls)
    async with connected(database.dsn) as service, acting_for(service, uuid4()):
        assert await service.fetchval("SELECT count(*) FROM mini_chat.chats") == 0

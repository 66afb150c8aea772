"""The migrated schema: what the mapped classes say, made once, owned by the right role."""

import re
from pathlib import Path
from typing import Any, Final

import anyio
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from infra.postgres import migrate
from infra.postgres.dsn import DIALECT
from infra.postgres.orm import chat, event, message, policy, thread_summary, turn, turn_part
from infra.postgres.orm.base import SCHEMA, Base
from infra.postgres.role_check import GLOBAL_TABLES, NEWEST_VERSION
from tests.harness.postgres import Database
from tests.harness.rows import connected

VERSIONS: Final = Path(__file__).resolve().parents[3] / "migrations" / "versions"

MAPPED = {
    row.__tablename__
    for row in (
        chat.ChatRow,
        message.MessageRow,
        turn.TurnRow,
        turn_part.TurnPartRow,
        thread_summary.ThreadSummaryRow,
        event.AuditEventRow,
        event.UsageEventRow,
        policy.KillSwitchRow,
        policy.ModelOverrideRow,
        policy.PolicySnapshotRow,
    )
}


def _differences(connection: Connection) -> list[Any]:
    def only_ours(name: str | None, kind: str, _: Any) -> bool:
        return name == SCHEMA if kind == "schema" else kind != "table" or name not in GLOBAL_TABLES - MAPPED

    context = MigrationContext.configure(
        connection,
        opts={
            "include_schemas": True,
            "include_name": only_ours,
            "compare_type": True,
            "compare_server_default": True,
        },
    )
    return list(compare_metadata(context, Base.metadata))


async def test_mapped_classes_and_migrated_tables_agree(database: Database) -> None:
    engine = create_async_engine(DIALECT, poolclass=NullPool, connect_args={"dsn": database.superuser_dsn})
    async with engine.connect() as connection:
        assert await connection.run_sync(_differences) == []


async def test_migrating_again_changes_nothing(database: Database) -> None:
    assert await migrate.upgrade(database.superuser_dsn) == NEWEST_VERSION
    assert await migrate.current(database.superuser_dsn) == NEWEST_VERSION


async def test_migrators_that_meet_migrate_once(empty_database: Database) -> None:
    assert await migrate.current(empty_database.superuser_dsn) is None
    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(migrate.upgrade, empty_database.superuser_dsn)
    assert await migrate.current(empty_database.superuser_dsn) == NEWEST_VERSION


async def test_everything_belongs_to_the_owner(database: Database) -> None:
    async with connected(database.superuser_dsn) as connection:
        owners = await connection.fetch(
            """
            SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'mini_chat'::regnamespace
            UNION SELECT nspowner::regrole::text FROM pg_namespace WHERE nspname = 'mini_chat'
            UNION SELECT proowner::regrole::text FROM pg_proc WHERE pronamespace = 'mini_chat'::regnamespace
            """
        )
    assert owners == [("mini_chat_owner",)]


async def test_a_migrator_needs_no_superuser(empty_database: Database) -> None:
    """It owns the database and may create roles; those of this cluster exist, so it is made an admin of them."""
    migrator = f"migrator_of_{empty_database.name}"
    async with connected(empty_database.superuser_dsn) as connection:
        await connection.execute(f"CREATE ROLE {migrator} LOGIN CREATEROLE PASSWORD 'disposable'")
        await connection.execute(f"ALTER DATABASE {empty_database.name} OWNER TO {migrator}")
        await connection.execute(f"GRANT mini_chat_owner TO {migrator} WITH ADMIN OPTION")
        try:
            await migrate.upgrade(empty_database.superuser_dsn.replace("postgres@", f"{migrator}@", 1))
        finally:
            await connection.execute(f"ALTER DATABASE {empty_database.name} OWNER TO postgres")
            await connection.execute(f"DROP OWNED BY {migrator}; DROP ROLE {migrator}")


async def test_a_role_that_an_operator_made_carelessly_is_mended(empty_database: Database) -> None:
    async with connected(empty_database.superuser_dsn) as connection:
        await connection.execute("ALTER ROLE mini_chat_app INHERIT; REVOKE mini_chat_ops FROM mini_chat_app")
        await connection.execute("GRANT mini_chat_ops TO mini_chat_app")
        assert await connection.fetchval("SELECT pg_has_role('mini_chat_app', 'mini_chat_ops', 'USAGE')")
        await migrate.upgrade(empty_database.superuser_dsn)
        assert not await connection.fetchval("SELECT pg_has_role('mini_chat_app', 'mini_chat_ops', 'USAGE')")
        assert await connection.fetchval("SELECT pg_has_role('mini_chat_app', 'mini_chat_ops', 'MEMBER')")


async def test_a_database_that_is_not_there_is_reported_without_a_password() -> None:
    with pytest.raises(migrate.MigrationFailed) as failed:
        await migrate.upgrade("postgresql://someone:CNRY-secret@127.0.0.1:1/nothing")
    assert "CNRY-secret" not in str(failed.value)


async def test_the_service_itself_may_not_migrate(empty_database: Database) -> None:
    with pytest.raises(migrate.MigrationFailed, match=r"permission denied|admin option"):
        await migrate.upgrade(empty_database.dsn)


def test_the_program_knows_the_newest_version_and_each_file_says_when_it_runs() -> None:
    """Expand runs before a deploy, contract after it (docs/database.md)."""
    files = sorted(path.stem for path in VERSIONS.glob("[0-9]*.py"))
    assert all(re.fullmatch(r"\d{4}_(expand|contract)_\w+", name) for name in files)
    assert files[-1].split("_")[0] == NEWEST_VERSION

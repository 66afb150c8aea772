"""Brings a database to the newest schema, one migrator at a time.

The login is the operator's, never the service's: a superuser, or one that may create roles and, in this database,
a schema. It acts as `mini_chat_owner`, which therefore owns every object.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import asyncpg
from advanced_alchemy.alembic.commands import AlembicCommandConfig
from alembic import command
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from infra.postgres.dsn import DIALECT, driver_dsn
from infra.postgres.orm.base import SCHEMA
from infra.postgres.unusable import DatabaseUnusable
from migrations.roles import FOUNDATION, OWNER

VERSION_TABLE: Final = "schema_migrations"

_SCRIPTS: Final = Path(__file__).resolve().parents[2] / "migrations"
_LOCK_KEY: Final = 0x6D696E69_63686174
_WAIT_FOR_OTHER_MIGRATOR: Final = "120s"
_WAIT_FOR_TABLE: Final = "2s"


class MigrationFailed(DatabaseUnusable):
    """The database could not be reached or refused; the text is what it said, for the operator alone."""


async def upgrade(address: str) -> str:
    """Migrates to the newest version and returns its name; does nothing when it is there already.

    Every version is a transaction of its own, so what is committed stays. Statements wait at most 2 s for a table
    that others use, because whoever comes after them waits as well. Raises MigrationFailed.
    """
    async with _connect(address) as (engine, connection):
        await _become_only_migrator(connection)
        for statement in FOUNDATION:
            await connection.exec_driver_sql(statement)
        await connection.exec_driver_sql(f"SET ROLE {OWNER}")
        await connection.commit()
        await connection.run_sync(_to_head, engine)
        return await _version(connection) or ""


async def current(address: str) -> str | None:
    """The version a database is at, None when it was never migrated. Raises MigrationFailed."""
    async with _connect(address) as (_, connection):
        return await _version(connection)


@asynccontextmanager
async def _connect(address: str) -> AsyncIterator[tuple[AsyncEngine, AsyncConnection]]:
    engine = create_async_engine(DIALECT, poolclass=NullPool, connect_args={"dsn": driver_dsn(address)})
    try:
        async with engine.connect() as connection:
            yield engine, connection
    except DBAPIError as error:
        raise MigrationFailed(str(error.orig)) from error
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise MigrationFailed(str(error)) from error


async def _become_only_migrator(connection: AsyncConnection) -> None:
    """The lock belongs to the session: it outlives each transaction and goes with the connection."""
    await _set_lock_timeout(connection, _WAIT_FOR_OTHER_MIGRATOR)
    await connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": _LOCK_KEY})
    await _set_lock_timeout(connection, _WAIT_FOR_TABLE)
    await connection.commit()


async def _set_lock_timeout(connection: AsyncConnection, duration: str) -> None:
    await connection.execute(text("SELECT set_config('lock_timeout', :duration, false)"), {"duration": duration})


def _to_head(connection: Connection, engine: AsyncEngine) -> None:
    config = AlembicCommandConfig(
        engine,
        version_table_name=VERSION_TABLE,
        version_table_schema=SCHEMA,
        attributes={"connection": connection},
    )
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    command.upgrade(config, "head")


async def _version(connection: AsyncConnection) -> str | None:
    table = f"{SCHEMA}.{VERSION_TABLE}"
    if await connection.scalar(text("SELECT to_regclass(:table)"), {"table": table}) is None:
        return None
    version: str | None = await connection.scalar(text("SELECT version_num FROM mini_chat.schema_migrations"))
    return version

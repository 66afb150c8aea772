"""The migrated schema: what the mapped classes say, made once, owned by the right role."""

from typing import Any

from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from infra.postgres import migrate
from infra.postgres.dsn import DIALECT
from infra.postgres.orm import chat, message, turn, turn_part
from infra.postgres.orm.base import SCHEMA, Base
from tests.harness.postgres import Database

MAPPED = {row.__tablename__ for row in (chat.ChatRow, message.MessageRow, turn.TurnRow, turn_part.TurnPartRow)}


def _differences(connection: Connection) -> list[Any]:
    def only_ours(name: str | None, kind: str, _: Any) -> bool:
        return name == SCHEMA if kind == "schema" else name != migrate.VERSION_TABLE

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

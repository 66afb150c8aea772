"""Where Alembic enters: on the connection that `infra.postgres.migrate` has opened, locked and given its role."""

from typing import cast

from advanced_alchemy.alembic.commands import AlembicCommandConfig
from alembic import context

config = cast("AlembicCommandConfig", context.config)
context.configure(
    connection=config.attributes["connection"],
    version_table=config.version_table_name,
    version_table_schema=config.version_table_schema,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()

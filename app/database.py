"""The database of this deployment: the configured one, or our own under the data directory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.settings import Settings
from infra.postgres.binaries import find_binaries
from infra.postgres.embedded import EmbeddedPostgres
from infra.postgres.migrate import upgrade


@asynccontextmanager
async def database(settings: Settings) -> AsyncIterator[str]:
    """Yields the address for the service's own role.

    The embedded server is started, migrated, and stopped afterwards; a configured one is left as it is, because
    in production migrating is a step of the deployment. Raises EmbeddedPostgresFailed.
    """
    if settings.database.url is not None:
        yield settings.database.url
        return
    server = EmbeddedPostgres(settings.data_dir / "postgres", find_binaries(settings.pg_bin))
    await server.start()
    try:
        await upgrade(server.superuser_dsn)
        yield server.app_dsn
    finally:
        await server.stop()  # noqa: ASYNC102 - shields itself

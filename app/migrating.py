"""`mini-chat migrate`: which database is meant, and under which login."""

import anyio

from app.config_layers import Mistakes
from app.database import database
from app.settings import Settings
from infra.postgres.migrate import upgrade
from infra.postgres.unusable import DatabaseUnusable


def migrate(settings: Settings) -> None:
    """Brings the configured database, or without one the embedded, to the newest schema. Raises Mistakes."""
    try:
        anyio.run(_migrate, settings)
    except DatabaseUnusable as fault:
        raise Mistakes((str(fault),)) from None


async def _migrate(settings: Settings) -> None:
    address = settings.database.migration_url or settings.database.url
    if address is not None:
        await upgrade(address)
        return
    async with database(settings):
        pass  # which has migrated it on the way in

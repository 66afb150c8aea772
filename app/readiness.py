"""What this process cannot work without, looked at when somebody asks."""

from collections.abc import Mapping

from sqlalchemy import text

from api.rest.health import Check, Health
from infra.postgres.engine import Pools
from infra.postgres.role_check import NEWEST_VERSION, OLDEST_VERSION


def readiness_checks(pools: Pools) -> Mapping[str, Check]:
    """By name, as /readyz shows them. A check that raises has failed.

    Catalogue and credentials were checked at start and cannot change while the process runs.
    """

    async def database() -> Health:
        async with pools.reserved.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return Health.OK

    async def migrations() -> Health:
        async with pools.reserved.connect() as connection:
            version = await connection.scalar(text("SELECT version_num FROM mini_chat.schema_migrations"))
        return Health.OK if OLDEST_VERSION <= version <= NEWEST_VERSION else Health.FAILED

    async def loaded() -> Health:
        return Health.OK

    return {"database": database, "migrations": migrations, "catalogue": loaded, "credentials": loaded}

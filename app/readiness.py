"""What this process cannot work without, looked at when somebody asks."""

from collections.abc import Mapping

from sqlalchemy import text

from api.rest.health import Check, Health
from infra.postgres.engine import Pools


def readiness_checks(pools: Pools) -> Mapping[str, Check]:
    """By name, as /readyz shows them. A check that raises has failed.

    Catalogue and credentials were checked at start and cannot change while the process runs.
    """

    async def database() -> Health:
        async with pools.reserved.connect() as connection:
            await connection.execute(text("SELECT 1"))
        return Health.OK

    return {"database": database}

"""What this process cannot work without, looked at when somebody asks."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from functools import partial

import asyncpg

from api.rest.health import Check, Health
from domain.catalogue.live import LiveCatalogue
from domain.operations.dead_letters import DeadLetterWatch
from domain.switches.board import Switchboard
from infra.postgres.connection_pool import driver_of
from infra.postgres.engine import Pools
from infra.postgres.role_check import NEWEST_VERSION, OLDEST_VERSION
from infra.postgres.transaction import transaction
from infra.providers.call_gate import CallGate
from infra.providers.circuit import CircuitState
from infra.providers.registry import ProviderRegistry

_PATIENCE = timedelta(seconds=1)


def readiness_checks(
    pools: Pools,
    board: Switchboard,
    listed: LiveCatalogue,
    providers: ProviderRegistry,
    dead_letters: DeadLetterWatch,
) -> Mapping[str, Check]:
    """By name, as /readyz shows them. A check that raises has failed.

    Credentials were checked at start and cannot change while the process runs.
    """

    async def database() -> Health:
        async with _looking(pools) as driver:
            await driver.execute("SELECT 1")
        return Health.OK

    async def migrations() -> Health:
        async with _looking(pools) as driver:
            version: str | None = await driver.fetchval("SELECT version_num FROM mini_chat.schema_migrations")
        fits = version is not None and OLDEST_VERSION <= version <= NEWEST_VERSION
        return Health.OK if fits else Health.FAILED

    async def catalogue() -> Health:
        """Not before it is known what of it is switched off; from then on what was known last is good enough."""
        return Health.OK if board.is_known and listed.is_known else Health.FAILED

    async def credentials() -> Health:
        return Health.OK

    async def jobs() -> Health:
        """Somebody has to look at what was given up; answers do not depend on it."""
        return Health.DEGRADED if dead_letters.any_dead else Health.OK

    return {
        "database": database,
        "migrations": migrations,
        "catalogue": catalogue,
        "credentials": credentials,
        "jobs": jobs,
        **{f"provider:{id_}": partial(_provider, gate) for id_, gate in providers.gates.items()},
    }


async def _provider(gate: CallGate) -> Health:
    """A provider that fails is no reason to send this process no work."""
    return Health.OK if gate.state is CircuitState.CLOSED else Health.DEGRADED


def _looking(pools: Pools) -> AbstractAsyncContextManager[asyncpg.Connection]:
    """Like the transactions it looks at: whoever asks the engine itself comes after all of them."""
    return transaction(pools.reserved, "BEGIN READ ONLY", _PATIENCE, driver_of)

"""The models of this process, for whoever answers users and for whoever does jobs: which there are, which of them are
open at the moment, and the providers that have them.
"""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta

import anyio

from app.configured_models import configured_models
from app.periodic import Bell, every
from app.settings import Settings
from domain.catalogue.live import LiveCatalogue
from domain.catalogue.ports import CatalogueSource
from domain.catalogue.upkeep import CatalogueUpkeep
from domain.clock import Clock
from domain.errors import ServiceUnavailable
from domain.providers.pseudonyms import Pseudonymiser
from domain.switches.board import Switchboard
from domain.telemetry.ports import Telemetry
from infra.postgres.catalogue_book import PostgresCatalogueBook
from infra.postgres.engine import Pools
from infra.postgres.policy_reader import PostgresPolicyReader
from infra.postgres.transaction import TransactionLimits
from infra.providers.key_ring import KEYS_REREAD_EVERY
from infra.providers.registry import ProviderRegistry


@dataclass(frozen=True, kw_only=True)
class ModelAccess:
    providers: ProviderRegistry
    pseudonymiser: Pseudonymiser
    keys_refused: Bell
    listed: LiveCatalogue
    source: CatalogueSource
    board: Switchboard
    upkeep: CatalogueUpkeep

    async def look(self) -> None:
        """Afterwards it is known what is offered and what is switched off. Raises ServiceUnavailable."""
        await self.board.refresh()
        await self.upkeep.look()

    @asynccontextmanager
    async def running(self, interval: timedelta) -> AsyncIterator[None]:
        """For a process that has no turns to stop: looks before anything is done, and at intervals from then on."""
        with suppress(ServiceUnavailable):
            await self.look()
        async with self.providers, anyio.create_task_group() as watching:
            watching.start_soon(every, interval, "model_access", self.look)
            reread = self.providers.reread_keys
            watching.start_soon(every, KEYS_REREAD_EVERY, "provider_keys", reread, self.keys_refused)
            yield
            watching.cancel_scope.cancel()


def model_access(
    settings: Settings,
    env: Mapping[str, str],
    pseudonymiser: Pseudonymiser,
    pools: Pools,
    limits: TransactionLimits,
    clock: Clock,
    telemetry: Telemetry,
) -> ModelAccess:
    """Raises Mistakes for providers and models that cannot be used."""
    keys_refused = Bell()
    providers, models, source = configured_models(settings, env, clock, telemetry, keys_refused.ring)
    listed, reader = LiveCatalogue(models, clock.now()), PostgresPolicyReader(pools.reserved, limits)
    book = PostgresCatalogueBook(pools.reserved, limits)
    return ModelAccess(
        providers=providers,
        pseudonymiser=pseudonymiser,
        keys_refused=keys_refused,
        listed=listed,
        source=source,
        board=Switchboard(reader),
        upkeep=CatalogueUpkeep(listed, source, book, reader, clock, telemetry),
    )

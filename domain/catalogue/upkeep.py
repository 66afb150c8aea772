"""Keeps the catalogue of this process as the operator wants it: a bad one changes nothing."""

import logging

from domain.catalogue.live import LiveCatalogue
from domain.catalogue.models import ModelSpec
from domain.catalogue.ports import CatalogueBook, CatalogueSource, OverrideReader
from domain.clock import Clock
from domain.errors import CatalogueInvalid
from domain.telemetry.ports import Counted, Telemetry

_log = logging.getLogger(__name__)


class CatalogueUpkeep:
    def __init__(
        self,
        catalogue: LiveCatalogue,
        source: CatalogueSource,
        book: CatalogueBook,
        reader: OverrideReader,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._seen: object = None
        self._catalogue = catalogue
        self._source = source
        self._book = book
        self._reader = reader
        self._clock = clock
        self._telemetry = telemetry

    async def look(self) -> None:
        """Afterwards overrides and content are those of now, or the last good ones. Raises ServiceUnavailable."""
        found = await self._reader.overrides(self._catalogue.revision)
        if found is not None:
            self._catalogue.override(found)
        if not self._catalogue.is_known:
            await self.accept(self._catalogue.given)
        signature = await self._source.signature()
        if signature != self._seen:
            await self._reload()
            # Only now: what could not be recorded is read again.
            self._seen = signature

    async def accept(self, models: tuple[ModelSpec, ...]) -> None:
        """Brings validated content into force. Raises ServiceUnavailable, and then it did not."""
        self.put_in_force(models, await self.record(models))

    async def record(self, models: tuple[ModelSpec, ...]) -> int:
        """The version of this content. Raises ServiceUnavailable."""
        return await self._book.record(models)

    def put_in_force(self, models: tuple[ModelSpec, ...], version: int) -> None:
        """Validated content that was recorded."""
        self._catalogue.accept(models, version, self._clock.now())
        self._telemetry.count(Counted.POLICY_LOAD, result="accepted")
        _log.info("catalogue_loaded", extra={"version": version, "models": len(models)})

    async def _reload(self) -> None:
        try:
            models = await self._source.read()
        except CatalogueInvalid as refusal:
            self._telemetry.count(Counted.POLICY_LOAD, result="refused")
            _log.error(
                "catalogue_refused", extra={"faults": [f"{each.field}: {each.message}" for each in refusal.faults]}
            )
            return
        if models != self._catalogue.given:
            await self.accept(models)

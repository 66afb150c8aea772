"""What administrators see of the catalogue and change in it while the service runs (api.md 3.11)."""

from datetime import datetime
from typing import Protocol

import msgspec

from domain.audit.administration import admin_event, platform_scope
from domain.audit.events import EventType, NewEvent
from domain.audit.ports import EventTx
from domain.auth.administration import on_record
from domain.auth.policy import Action, Policy
from domain.catalogue.live import Entry, LiveCatalogue
from domain.catalogue.models import ModelSpec
from domain.catalogue.ports import CatalogueSource, ModelOverrides, Override
from domain.catalogue.upkeep import CatalogueUpkeep
from domain.clock import Clock
from domain.errors import CatalogueInvalid, ModelNotFound, VersionConflict
from domain.subject import Subject
from domain.switches.ports import Tell
from domain.unit_of_work import UnitOfWork


class CatalogueTx(EventTx, Protocol):
    @property
    def model_overrides(self) -> ModelOverrides: ...


class Reloaded(msgspec.Struct, frozen=True, kw_only=True):
    """By id, what differs from the catalogue that was in force; `version` and `loaded_at` are those of now."""

    version: int
    loaded_at: datetime
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]


class CatalogueAdministration:
    def __init__(
        self,
        begin: UnitOfWork[CatalogueTx],
        policy: Policy,
        catalogue: LiveCatalogue,
        source: CatalogueSource,
        upkeep: CatalogueUpkeep,
        tell: Tell,
        clock: Clock,
    ) -> None:
        self._begin = begin
        self._policy = policy
        self._catalogue = catalogue
        self._source = source
        self._upkeep = upkeep
        self._tell = tell
        self._clock = clock

    def look(self, who: Subject) -> LiveCatalogue:
        self._policy.require(who, Action.READ_CATALOGUE)
        with on_record(who, Action.READ_CATALOGUE, "models"):
            return self._catalogue

    async def reload(self, who: Subject, *, dry_run: bool) -> Reloaded:
        """Reads the source again; a dry run changes nothing. Other processes read theirs.

        Raises CatalogueInvalid, and then the last good catalogue stays in force; ServiceUnavailable.
        """
        self._policy.require(who, Action.CHANGE_CATALOGUE)
        with on_record(who, Action.CHANGE_CATALOGUE, "reload dry_run" if dry_run else "reload"):
            before, models = self._catalogue.given, await self._read(who, dry_run=dry_run)
            if not dry_run:
                version = await self._upkeep.record(models)
                # First the books: what cannot be told is not done.
                await self._add_event(who, EventType.CATALOG_LOADED, {"version": version})
                self._upkeep.put_in_force(models, version)
                await self._tell()
        return _difference(self._catalogue, before, models)

    async def change(self, who: Subject, model_id: str, expected: int | None, *, enabled: bool) -> Entry:
        """From now on the model is enabled or not, whatever the file says; running turns go on.

        Raises ModelNotFound, VersionConflict, ServiceUnavailable.
        """
        self._policy.require(who, Action.CHANGE_CATALOGUE)
        with on_record(who, Action.CHANGE_CATALOGUE, f"model:{model_id} enabled={enabled}"):
            self._entry(model_id)
            async with self._begin(platform_scope(who)) as tx:
                await tx.model_overrides.await_turn()
                present = await tx.model_overrides.newest(model_id)
                _refuse_stale(present, expected)
                override = await tx.model_overrides.set(model_id, present, who.user_id, enabled=enabled)
                await tx.events.add(self._event(who, EventType.MODEL_CHANGED, msgspec.structs.asdict(override)))
            await self._tell()
            return Entry(msgspec.structs.replace(self._entry(model_id).model, enabled=enabled), override.version)

    async def _read(self, who: Subject, *, dry_run: bool) -> tuple[ModelSpec, ...]:
        try:
            return await self._source.read()
        except CatalogueInvalid as invalid:
            refusal = invalid
        if not dry_run:
            await self._add_event(who, EventType.CATALOG_REFUSED, {"faults": len(refusal.faults)})
        raise refusal

    def _entry(self, model_id: str) -> Entry:
        for entry in self._catalogue.entries():
            if entry.model.id == model_id:
                return entry
        raise ModelNotFound

    async def _add_event(self, who: Subject, event_type: EventType, details: dict[str, object]) -> None:
        async with self._begin(platform_scope(who)) as tx:
            await tx.events.add(self._event(who, event_type, details))

    def _event(self, who: Subject, event_type: EventType, details: dict[str, object]) -> NewEvent:
        return admin_event(event_type, who, self._clock.now(), details)


def _difference(catalogue: LiveCatalogue, before: tuple[ModelSpec, ...], after: tuple[ModelSpec, ...]) -> Reloaded:
    old, new = {model.id: model for model in before}, {model.id: model for model in after}
    return Reloaded(
        version=catalogue.version,
        loaded_at=catalogue.loaded_at,
        added=tuple(id_ for id_ in new if id_ not in old),
        removed=tuple(id_ for id_ in old if id_ not in new),
        changed=tuple(id_ for id_, model in new.items() if id_ in old and old[id_] != model),
    )


def _refuse_stale(present: Override | None, expected: int | None) -> None:
    version = 0 if present is None else present.version
    if expected is not None and expected != version:
        raise VersionConflict(version)

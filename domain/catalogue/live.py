"""The catalogue that is in force, and what becomes of it while the process runs. Asking costs no I/O."""

from collections.abc import Mapping
from datetime import datetime

import msgspec
from msgspec.structs import replace

from domain.catalogue.models import ModelSpec
from domain.catalogue.ports import Override, Overrides
from domain.errors import ServiceUnavailable


class Entry(msgspec.Struct, frozen=True):
    """A model as it is in force; `version` counts what administrators said about it, 0 for nothing yet."""

    model: ModelSpec
    version: int


class LiveCatalogue:
    """Fills Catalogue. A turn keeps the entry it started with, whatever happens here.

    `version` is known once the content was recorded; a catalogue without one must not be served from.
    """

    def __init__(self, models: tuple[ModelSpec, ...], loaded_at: datetime) -> None:
        self._given = models
        self._loaded_at = loaded_at
        self._version: int | None = None
        self._revision: int | None = None
        self._overrides: Mapping[str, Override] = {}
        self._entries = _entries(models, {})
        self._models = tuple(entry.model for entry in self._entries)

    @property
    def is_known(self) -> bool:
        return self._version is not None and self._revision is not None

    @property
    def version(self) -> int:
        """The same for the same content, on every process and for ever. Raises ServiceUnavailable."""
        if self._version is None:
            raise ServiceUnavailable
        return self._version

    @property
    def revision(self) -> int | None:
        """Of the overrides that are known."""
        return self._revision

    @property
    def loaded_at(self) -> datetime:
        return self._loaded_at

    @property
    def given(self) -> tuple[ModelSpec, ...]:
        """The content without what administrators said."""
        return self._given

    def models(self) -> tuple[ModelSpec, ...]:
        return self._models

    def entries(self) -> tuple[Entry, ...]:
        return self._entries

    def accept(self, models: tuple[ModelSpec, ...], version: int, loaded_at: datetime) -> None:
        """From now on this content is in force."""
        self._given, self._version, self._loaded_at = models, version, loaded_at
        self._apply()

    def override(self, found: Overrides) -> None:
        """From now on administrators' words are these, unless later ones are known already."""
        if self._revision is None or found.revision > self._revision:
            self._revision = found.revision
            self._overrides = {each.model_id: each for each in found.overrides}
            self._apply()

    def _apply(self) -> None:
        self._entries = _entries(self._given, self._overrides)
        self._models = tuple(entry.model for entry in self._entries)


def _entries(models: tuple[ModelSpec, ...], overrides: Mapping[str, Override]) -> tuple[Entry, ...]:
    return tuple(_entry(model, overrides.get(model.id)) for model in sorted(models, key=lambda model: model.sort_order))


def _entry(model: ModelSpec, override: Override | None) -> Entry:
    if override is None:
        return Entry(model, 0)
    return Entry(replace(model, enabled=override.enabled), override.version)

"""Where the catalogue is read from: a TOML file that may be replaced at any time, or what the settings said once."""

from collections.abc import Mapping
from pathlib import Path

import anyio.to_thread
import msgspec

from app.config_layers import Mistakes, from_file
from app.config_reader import read
from app.settings import with_deadlines
from domain.catalogue.models import ModelSpec
from domain.errors import CatalogueInvalid, Fault
from domain.providers.request import Deadlines
from infra.catalogue.validation import validate_catalogue
from infra.providers.settings import ProviderKind


class _Content(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    models: tuple[ModelSpec, ...]


class CatalogueFile:
    """Fills CatalogueSource. Replace the file as a whole, by renaming: one that is half written is refused."""

    def __init__(self, path: Path, common: Deadlines, provider_kinds: Mapping[str, ProviderKind]) -> None:
        self._path = path
        self._common = common
        self._provider_kinds = provider_kinds

    async def read(self) -> tuple[ModelSpec, ...]:
        try:
            return await anyio.to_thread.run_sync(self.load)
        except Mistakes as mistakes:
            raise CatalogueInvalid(faults=tuple(map(_fault, mistakes.lines))) from None

    async def signature(self) -> object:
        return await anyio.to_thread.run_sync(self._signature)

    def load(self) -> tuple[ModelSpec, ...]:
        """Raises Mistakes with everything that is wrong."""
        found = read(_Content, from_file(self._path))
        models = with_deadlines(found.struct.models, self._common, found.origins)
        if faults := validate_catalogue(models, self._provider_kinds):
            raise Mistakes(tuple(faults))
        return models

    def _signature(self) -> object:
        try:
            found = self._path.stat()
        except OSError:
            return "missing"
        return found.st_ino, found.st_size, found.st_mtime_ns


class FixedSource:
    """Fills CatalogueSource with what does not change."""

    def __init__(self, models: tuple[ModelSpec, ...]) -> None:
        self._models = models

    async def read(self) -> tuple[ModelSpec, ...]:
        return self._models

    async def signature(self) -> object:
        return "fixed"


def _fault(line: str) -> Fault:
    field, _, message = line.partition(": ")
    return Fault(field=field, message=message or line, code="invalid_value")

"""Where the catalogue comes from, and where what becomes of it is kept."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from domain.catalogue.models import ModelSpec
from domain.ids import UserId


class Catalogue(Protocol):
    def models(self) -> tuple[ModelSpec, ...]:
        """Every entry, enabled or not, in list order; the same immutable snapshot until something changes."""
        ...

    @property
    def version(self) -> int:
        """Of the content; the same for the same content. Raises ServiceUnavailable before it was recorded."""
        ...


class CatalogueSource(Protocol):
    async def read(self) -> tuple[ModelSpec, ...]:
        """What the operator wants now, validated as a whole. Raises CatalogueInvalid with every fault."""
        ...

    async def signature(self) -> object:
        """Equal as long as nobody touched what `read` reads."""
        ...


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """The newest word of an administrator on a model: it wins over the catalogue's own."""

    model_id: str
    enabled: bool
    version: int


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """All of them, as of a revision."""

    revision: int
    overrides: Sequence[Override]


class OverrideReader(Protocol):
    async def overrides(self, known: int | None) -> Overrides | None:
        """None while `known` is still the newest revision. Raises ServiceUnavailable."""
        ...


class CatalogueBook(Protocol):
    async def record(self, models: tuple[ModelSpec, ...]) -> int:
        """The version of this content: the one it had before, else the next one. Raises ServiceUnavailable."""
        ...


class ModelOverrides(Protocol):
    """Rows that are only ever added; they belong to no tenant."""

    async def await_turn(self) -> None:
        """Until the transaction ends nobody else adds one, so revisions are committed in their order."""
        ...

    async def newest(self, model_id: str) -> Override | None: ...

    async def set(self, model_id: str, present: Override | None, by: UserId, *, enabled: bool) -> Override: ...

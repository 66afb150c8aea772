"""Where the catalogue comes from."""

from typing import Protocol

from domain.catalogue.models import ModelSpec


class Catalogue(Protocol):
    def models(self) -> tuple[ModelSpec, ...]:
        """Every entry, enabled or not, in list order; the same immutable snapshot until the next reload."""
        ...

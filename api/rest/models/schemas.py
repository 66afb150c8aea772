"""A model on the wire (api.md 3.7)."""

from typing import Literal, Self

import msgspec
from msgspec import UNSET, UnsetType

from domain.catalogue.models import ModelSpec


class ModelOut(msgspec.Struct, frozen=True, kw_only=True):
    """What users may know of a catalogue entry: no provider, no address, no multiplier."""

    model_id: str
    display_name: str
    tier: Literal["standard", "premium"]
    multiplier_display: str | UnsetType = UNSET
    description: str | UnsetType = UNSET
    multimodal_capabilities: tuple[str, ...]
    context_window: int

    @classmethod
    def of(cls, model: ModelSpec) -> Self:
        return cls(
            model_id=model.id,
            display_name=model.display_name or model.id,
            tier=model.tier.value,
            multiplier_display=UNSET if model.multiplier_display is None else model.multiplier_display,
            description=UNSET if model.description is None else model.description,
            multimodal_capabilities=model.multimodal_capabilities,
            context_window=model.context_window,
        )


class ModelsOut(msgspec.Struct, frozen=True, kw_only=True):
    items: tuple[ModelOut, ...]

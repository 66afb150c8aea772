"""Which model a chat gets, and which one answers a send (engine.md 5.3, api.md 3.4)."""

from enum import StrEnum

import msgspec

from domain.catalogue.models import ModelSpec, Tier
from domain.errors import InvalidModel, ModelNotFound


class QuotaDecision(StrEnum):
    ALLOW = "allow"
    DOWNGRADE = "downgrade"


class DowngradeReason(StrEnum):
    MODEL_DISABLED = "model_disabled"


class Resolution(msgspec.Struct, frozen=True, kw_only=True):
    """The effective model of a turn and how it came about. Only `effective` counts from here on."""

    selected_model: str
    effective: ModelSpec
    decision: QuotaDecision = QuotaDecision.ALLOW
    downgrade_reason: DowngradeReason | None = None


def choose_for_chat(models: tuple[ModelSpec, ...], wanted: str | None) -> ModelSpec:
    """The enabled entry named, else the default one, else the first enabled. Raises InvalidModel."""
    enabled = offered(models)
    if wanted is not None:
        enabled = tuple(model for model in enabled if model.id == wanted)
    if not enabled:
        raise InvalidModel
    return min(enabled, key=_preference)


def offered(models: tuple[ModelSpec, ...]) -> tuple[ModelSpec, ...]:
    """The entries users may see, in list order."""
    return tuple(model for model in models if model.enabled)


def find_offered(models: tuple[ModelSpec, ...], model_id: str) -> ModelSpec:
    """Raises ModelNotFound for unknown and disabled entries alike."""
    for model in offered(models):
        if model.id == model_id:
            return model
    raise ModelNotFound


def resolve_for_send(models: tuple[ModelSpec, ...], selected: str) -> Resolution:
    """The chat's model, else an enabled one of its tier, else of a lower tier; defaults first. Raises InvalidModel."""
    by_id = {model.id: model for model in models}
    spec = by_id.get(selected)
    if spec is not None and spec.enabled:
        return Resolution(selected_model=selected, effective=spec)
    tier = spec.tier if spec is not None else Tier.STANDARD
    candidates = [model for model in offered(models) if model.tier is tier]
    candidates = candidates or [model for model in offered(models) if model.tier is Tier.STANDARD]
    if not candidates:
        raise InvalidModel
    return Resolution(
        selected_model=selected,
        effective=min(candidates, key=_preference),
        decision=QuotaDecision.DOWNGRADE,
        downgrade_reason=DowngradeReason.MODEL_DISABLED,
    )


def _preference(model: ModelSpec) -> tuple[bool, int]:
    return not model.is_default, model.sort_order

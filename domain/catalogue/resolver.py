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
    FORCE_STANDARD_TIER = "force_standard_tier"
    DISABLE_PREMIUM_TIER = "disable_premium_tier"
    PREMIUM_QUOTA_EXHAUSTED = "premium_quota_exhausted"


class Candidate(msgspec.Struct, frozen=True):
    """A model that may answer a send, and why the selected one would not: None for that one itself."""

    model: ModelSpec
    reason: DowngradeReason | None = None


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


def candidates_for_send(
    models: tuple[ModelSpec, ...], selected: str, premium_closed: DowngradeReason | None = None
) -> tuple[Candidate, ...]:
    """The chat's model, else the enabled ones of its tier; then, after a premium one, the standard ones.

    Within a tier defaults come first. `premium_closed` is why no premium model may answer at the moment.
    Empty when nothing is left that could answer.
    """
    spec = next((model for model in models if model.id == selected), None)
    if spec is None or not spec.enabled:
        tier, reason = Tier.STANDARD if spec is None else spec.tier, DowngradeReason.MODEL_DISABLED
        first = _of_tier(models, tier, reason)
    else:
        tier, reason = spec.tier, premium_closed or DowngradeReason.PREMIUM_QUOTA_EXHAUSTED
        first = (Candidate(spec),)
    if tier is Tier.STANDARD:
        return first
    return (*(first if premium_closed is None else ()), *_of_tier(models, Tier.STANDARD, reason))


def _of_tier(models: tuple[ModelSpec, ...], tier: Tier, reason: DowngradeReason) -> tuple[Candidate, ...]:
    ours = sorted((model for model in offered(models) if model.tier is tier), key=_preference)
    return tuple(Candidate(model, reason) for model in ours)


def resolved(candidate: Candidate, selected: str) -> Resolution:
    """How the turn came to its model."""
    return Resolution(
        selected_model=selected,
        effective=candidate.model,
        decision=QuotaDecision.ALLOW if candidate.reason is None else QuotaDecision.DOWNGRADE,
        downgrade_reason=candidate.reason,
    )


def _preference(model: ModelSpec) -> tuple[bool, int]:
    return not model.is_default, model.sort_order

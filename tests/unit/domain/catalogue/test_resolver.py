"""Which model a chat gets, and which one answers (engine.md 5.3, api.md 3.4)."""

import pytest

from domain.catalogue.models import ModelSpec, Tier
from domain.catalogue.resolver import (
    DowngradeReason,
    QuotaDecision,
    choose_for_chat,
    find_offered,
    offered,
    resolve_for_send,
)
from domain.errors import InvalidModel, ModelNotFound


def model(
    name: str, tier: Tier = Tier.STANDARD, *, enabled: bool = True, default: bool = False, order: int = 0
) -> ModelSpec:
    return ModelSpec(
        id=name,
        provider_id="p",
        provider_model_id=name,
        tier=tier,
        enabled=enabled,
        is_default=default,
        sort_order=order,
    )


MINI, NANO = model("mini", order=1), model("nano", order=2)
LARGE = model("large", Tier.PREMIUM)
OFF = model("off", enabled=False)
OFF_LARGE = model("off-large", Tier.PREMIUM, enabled=False)


def test_a_chat_gets_the_model_it_names() -> None:
    assert choose_for_chat((MINI, NANO), "nano") is NANO


@pytest.mark.parametrize("wanted", ["unknown", "off", "", "MINI"])
def test_a_model_that_is_not_offered_cannot_be_chosen(wanted: str) -> None:
    with pytest.raises(InvalidModel):
        choose_for_chat((MINI, OFF), wanted)


def test_a_chat_that_names_none_gets_the_default_then_the_first() -> None:
    default = model("default", default=True, order=9)
    assert choose_for_chat((MINI, default, NANO), None) is default
    assert choose_for_chat((NANO, MINI), None) is MINI


def test_a_default_that_is_disabled_is_passed_over() -> None:
    assert choose_for_chat((model("default", default=True, enabled=False), NANO), None) is NANO


def test_without_any_enabled_model_no_chat_can_be_made() -> None:
    with pytest.raises(InvalidModel):
        choose_for_chat((OFF,), None)


def test_disabled_and_unknown_models_are_not_found_alike() -> None:
    assert offered((MINI, OFF, NANO)) == (MINI, NANO)
    assert find_offered((MINI, OFF), "mini") is MINI
    for name in ("off", "unknown"):
        with pytest.raises(ModelNotFound):
            find_offered((MINI, OFF), name)


def test_an_enabled_model_answers_itself() -> None:
    resolution = resolve_for_send((MINI, LARGE), "large")
    assert (resolution.effective, resolution.decision, resolution.downgrade_reason) == (
        LARGE,
        QuotaDecision.ALLOW,
        None,
    )


DEFAULT_LARGE = model("default-large", Tier.PREMIUM, default=True, order=9)
REPLACED = [
    ("off", (OFF, NANO, MINI, LARGE), MINI),
    ("off-large", (OFF_LARGE, MINI, LARGE), LARGE),
    ("off-large", (OFF_LARGE, MINI, LARGE, DEFAULT_LARGE), DEFAULT_LARGE),
    ("off-large", (OFF_LARGE, NANO, MINI), MINI),
    ("gone", (LARGE, NANO), NANO),
]


@pytest.mark.parametrize(("selected", "models", "effective"), REPLACED)
def test_a_model_switched_off_is_replaced_in_its_tier_else_by_a_lower_one(
    selected: str, models: tuple[ModelSpec, ...], effective: ModelSpec
) -> None:
    resolution = resolve_for_send(models, selected)
    assert (resolution.selected_model, resolution.effective) == (selected, effective)
    assert resolution.decision is QuotaDecision.DOWNGRADE
    assert resolution.downgrade_reason is DowngradeReason.MODEL_DISABLED


def test_a_standard_model_is_never_replaced_by_a_premium_one() -> None:
    with pytest.raises(InvalidModel):
        resolve_for_send((OFF, LARGE), "off")

"""Which model a chat gets, and which one answers (engine.md 5.3, api.md 3.4)."""

import pytest

from domain.catalogue.models import ModelSpec, Tier
from domain.catalogue.resolver import (
    Candidate,
    DowngradeReason,
    QuotaDecision,
    candidates_for_send,
    choose_for_chat,
    find_offered,
    offered,
    resolved,
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


def names(models: tuple[ModelSpec, ...], selected: str) -> list[tuple[str, DowngradeReason | None]]:
    return [(candidate.model.id, candidate.reason) for candidate in candidates_for_send(models, selected)]


def test_an_enabled_standard_model_answers_itself_or_nobody_does() -> None:
    assert names((MINI, NANO, LARGE), "nano") == [("nano", None)]


EXHAUSTED, DISABLED = DowngradeReason.PREMIUM_QUOTA_EXHAUSTED, DowngradeReason.MODEL_DISABLED


def test_after_an_enabled_premium_model_come_the_standard_ones() -> None:
    other = model("other-large", Tier.PREMIUM)
    assert names((NANO, MINI, OFF, LARGE, other), "large") == [
        ("large", None),
        ("mini", EXHAUSTED),
        ("nano", EXHAUSTED),
    ]


DEFAULT_LARGE = model("default-large", Tier.PREMIUM, default=True, order=9)
REPLACED: list[tuple[str, tuple[ModelSpec, ...], list[str]]] = [
    ("off", (OFF, NANO, MINI, LARGE), ["mini", "nano"]),
    ("off-large", (OFF_LARGE, MINI, LARGE), ["large", "mini"]),
    ("off-large", (OFF_LARGE, MINI, LARGE, DEFAULT_LARGE), ["default-large", "large", "mini"]),
    ("off-large", (OFF_LARGE, NANO, MINI), ["mini", "nano"]),
    ("gone", (LARGE, NANO), ["nano"]),
    ("off", (OFF, LARGE), []),
]


@pytest.mark.parametrize(("selected", "models", "expected"), REPLACED)
def test_a_model_switched_off_is_replaced_in_its_tier_then_by_a_lower_one_never_by_a_higher(
    selected: str, models: tuple[ModelSpec, ...], expected: list[str]
) -> None:
    assert names(models, selected) == [(each, DISABLED) for each in expected]


def test_a_resolution_tells_how_the_turn_came_to_its_model() -> None:
    itself, other = resolved(Candidate(LARGE), "large"), resolved(Candidate(MINI, EXHAUSTED), "large")
    assert (itself.effective, itself.decision, itself.downgrade_reason) == (LARGE, QuotaDecision.ALLOW, None)
    assert (other.selected_model, other.effective) == ("large", MINI)
    assert (other.decision, other.downgrade_reason) == (QuotaDecision.DOWNGRADE, EXHAUSTED)


FORCED, CLOSED = DowngradeReason.FORCE_STANDARD_TIER, DowngradeReason.DISABLE_PREMIUM_TIER


@pytest.mark.parametrize("reason", [FORCED, CLOSED])
def test_while_premium_is_closed_standard_models_answer_and_the_reason_is_told(reason: DowngradeReason) -> None:
    models = (LARGE, OFF_LARGE, NANO, MINI)
    found = {
        selected: [
            (candidate.model.id, candidate.reason) for candidate in candidates_for_send(models, selected, reason)
        ]
        for selected in ("large", "off-large", "mini")
    }
    assert found == {
        "large": [("mini", reason), ("nano", reason)],
        "off-large": [("mini", DISABLED), ("nano", DISABLED)],
        "mini": [("mini", None)],
    }


def test_without_a_standard_model_nobody_answers_while_premium_is_closed() -> None:
    assert candidates_for_send((LARGE,), "large", CLOSED) == ()

from datetime import timedelta
from typing import Any

from msgspec.structs import replace

from domain.catalogue.models import EstimationBudgets, ModelSpec, Tier
from domain.providers.request import Deadlines, Purpose
from infra.catalogue.validation import validate_catalogue
from infra.providers.settings import ProviderKind

KINDS = {"scripted": ProviderKind.SCRIPTED, "cloud": ProviderKind.OPENAI_CHAT}


def model(**members: Any) -> ModelSpec:
    return ModelSpec(
        **{"id": "a", "provider_id": "scripted", "provider_model_id": "mock", "is_default": True, **members}
    )


def faults(*models: ModelSpec) -> list[str]:
    return [fault.partition(": ")[0] for fault in validate_catalogue(models, KINDS)]


def test_a_sound_catalogue_has_no_faults() -> None:
    assert faults(model(), model(id="b", is_default=False, provider_id="cloud", provider_model_id="gpt")) == []


def test_there_is_exactly_one_enabled_default() -> None:
    assert faults() == ["models"]
    assert faults(model(is_default=False)) == ["models"]
    assert faults(model(enabled=False)) == ["models"]
    assert faults(model(), model(id="b")) == ["models"]
    assert faults(model(), model(id="b", enabled=False)) == []


def test_every_fault_is_found_at_once() -> None:
    bad = model(
        provider_model_id="mock-len0x",
        max_output_tokens=500,
        max_input_tokens=501,
        context_window=500,
        deadlines=Deadlines(idle=timedelta(0)),
        estimation_budgets=EstimationBudgets(minimal_generation_floor=501),
        system_prompt="x" * (32 * 1024 + 1),
        purposes=(Purpose.TITLE,),
    )
    lost = model(id="b", is_default=False, provider_id="nobody", provider_model_id="")
    assert faults(bad, lost, lost) == [
        "models",
        "models.a.provider_model_id",
        "models.a.max_output_tokens",
        "models.a.max_input_tokens",
        "models.a.estimation_budgets.minimal_generation_floor",
        "models.a.system_prompt",
        "models.a.purposes",
        "models.a.deadlines.idle",
        "models.b.provider_id",
        "models.b.provider_model_id",
        "models.b.provider_id",
        "models.b.provider_model_id",
    ]


def test_a_mock_name_means_nothing_to_another_provider() -> None:
    assert faults(model(provider_id="cloud", provider_model_id="mock-len0x")) == []


def test_a_fallback_is_another_model_of_the_same_tier_that_answers_chats_and_leads_nowhere_back() -> None:
    def with_fallback(*others: ModelSpec) -> list[str]:
        return faults(model(fallback_model="b"), *others)

    plain = model(id="b", is_default=False)
    wrong = ["models.a.fallback_model"]
    assert with_fallback(plain) == []
    assert with_fallback() == wrong
    assert with_fallback(replace(plain, tier=Tier.PREMIUM)) == wrong
    assert with_fallback(replace(plain, purposes=(Purpose.TITLE,))) == wrong
    assert with_fallback(replace(plain, fallback_model="a")) == [*wrong, "models.b.fallback_model"]
    assert faults(model(fallback_model="a")) == wrong
    into_a_circle = replace(plain, fallback_model="c"), replace(plain, id="c", fallback_model="b")
    assert with_fallback(*into_a_circle) == ["models.b.fallback_model", "models.c.fallback_model"]


def test_a_parameter_that_nobody_knows_is_a_mistake() -> None:
    known: dict[str, object] = {"temperature": 0.2, "stop": ["x"], "extra_body": {"anything": 1}}
    assert faults(model(api_params=known)) == []
    assert faults(model(api_params={**known, "temprature": 0.2})) == ["models.a.api_params.temprature"]
    assert faults(model(api_params={"extra_body": [1]})) == ["models.a.api_params.extra_body"]

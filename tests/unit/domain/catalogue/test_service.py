import pytest
from msgspec.structs import replace

from domain.auth.policy import Policy
from domain.catalogue.models import ModelSpec
from domain.catalogue.service import ModelService
from domain.errors import Forbidden, ModelNotFound
from tests.harness.engine import FixedCatalogue, a_user


def model(name: str, order: int, *, enabled: bool = True) -> ModelSpec:
    return ModelSpec(id=name, provider_id="p", provider_model_id=name, sort_order=order, enabled=enabled)


MODELS = (model("c", 2), model("off", 0, enabled=False), model("a", 1), model("b", 1))


@pytest.fixture
def models() -> ModelService:
    return ModelService(Policy(), FixedCatalogue(*MODELS))


def test_enabled_models_are_listed_by_order_then_as_they_stand(models: ModelService) -> None:
    assert [each.id for each in models.list(a_user())] == ["a", "b", "c"]


def test_a_model_is_found_by_its_id(models: ModelService) -> None:
    assert models.get(a_user(), "c") is MODELS[0]


@pytest.mark.parametrize("name", ["off", "unknown"])
def test_disabled_and_unknown_models_are_not_found_alike(models: ModelService, name: str) -> None:
    with pytest.raises(ModelNotFound):
        models.get(a_user(), name)


def test_a_role_nobody_knows_sees_no_models(models: ModelService) -> None:
    stranger = replace(a_user(), roles=frozenset({"stranger"}))
    with pytest.raises(Forbidden):
        models.list(stranger)
    with pytest.raises(Forbidden):
        models.get(stranger, "c")

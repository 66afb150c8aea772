"""The models a user may choose from."""

from domain.auth.policy import Action, Policy
from domain.catalogue.models import ModelSpec
from domain.catalogue.ports import Catalogue
from domain.catalogue.resolver import find_offered, offered
from domain.subject import Subject


class ModelService:
    def __init__(self, policy: Policy, catalogue: Catalogue) -> None:
        self._policy = policy
        self._catalogue = catalogue

    def list(self, who: Subject) -> tuple[ModelSpec, ...]:
        """The enabled models by `sort_order`, then in catalogue order."""
        self._policy.require(who, Action.LIST_MODELS)
        return tuple(sorted(offered(self._catalogue.models()), key=lambda model: model.sort_order))

    def get(self, who: Subject, model_id: str) -> ModelSpec:
        """Raises ModelNotFound for unknown and disabled models alike."""
        self._policy.require(who, Action.READ_MODEL)
        return find_offered(self._catalogue.models(), model_id)

"""The model catalogue over HTTP (api.md 3.7)."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.rest.endpoint import endpoint
from api.rest.models.schemas import ModelOut, ModelsOut
from domain.auth.policy import Action
from domain.catalogue.service import ModelService
from domain.errors import ModelNotFound
from domain.subject import Subject


class ModelController(Controller):
    path = "/models"
    tags = ("Models",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.list_models",
        summary="List the models to choose from",
        opt=endpoint(Action.LIST_MODELS),
    )
    async def list_models(self, subject: NamedDependency[Subject], models: NamedDependency[ModelService]) -> ModelsOut:
        return ModelsOut(items=tuple(ModelOut.of(model) for model in models.list(subject)))

    @get(
        "/{model_id:str}",
        status_code=200,
        operation_id="mini_chat.get_model",
        summary="Read a model",
        opt=endpoint(Action.READ_MODEL, ModelNotFound),
    )
    async def get_model(
        self, model_id: FromPath[str], subject: NamedDependency[Subject], models: NamedDependency[ModelService]
    ) -> ModelOut:
        return ModelOut.of(models.get(subject, model_id))

"""The catalogue as administrators see and change it (api.md 3.11)."""

from typing import Final, Self

import msgspec
from litestar import Controller, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET, UnsetType

from api.rest.endpoint import endpoint
from api.rest.models.schemas import ModelOut
from api.rest.switches.schemas import Version
from api.rest.wire_types import Moment, given
from domain.auth.policy import Action
from domain.catalogue.administration import CatalogueAdministration, Reloaded
from domain.catalogue.live import Entry, LiveCatalogue
from domain.clock import utc_text
from domain.errors import CatalogueInvalid, ModelNotFound, VersionConflict
from domain.subject import Subject


class EntryOut(ModelOut, frozen=True, kw_only=True):
    """`enabled` is what holds, a word of an administrator before the catalogue's own; `version` counts those words."""

    enabled: bool
    is_default: bool
    sort_order: int
    provider_id: str
    provider_model_id: str
    input_tokens_credit_multiplier_micro: int
    output_tokens_credit_multiplier_micro: int
    max_input_tokens: int
    max_output_tokens: int
    version: int

    @classmethod
    def of_entry(cls, entry: Entry) -> Self:
        model = entry.model
        return cls(
            **msgspec.structs.asdict(ModelOut.of(model)),
            enabled=model.enabled,
            is_default=model.is_default,
            sort_order=model.sort_order,
            provider_id=model.provider_id,
            provider_model_id=model.provider_model_id,
            input_tokens_credit_multiplier_micro=model.input_tokens_credit_multiplier_micro,
            output_tokens_credit_multiplier_micro=model.output_tokens_credit_multiplier_micro,
            max_input_tokens=model.max_input_tokens,
            max_output_tokens=model.max_output_tokens,
            version=entry.version,
        )


class CatalogueOut(msgspec.Struct, frozen=True, kw_only=True):
    catalogue_version: str
    loaded_at: Moment
    items: tuple[EntryOut, ...]

    @classmethod
    def of(cls, catalogue: LiveCatalogue) -> Self:
        return cls(
            catalogue_version=str(catalogue.version),
            loaded_at=utc_text(catalogue.loaded_at),
            items=tuple(map(EntryOut.of_entry, catalogue.entries())),
        )


class ReloadedOut(msgspec.Struct, frozen=True, kw_only=True):
    catalogue_version: str
    loaded_at: Moment
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]

    @classmethod
    def of(cls, reloaded: Reloaded) -> Self:
        return cls(
            catalogue_version=str(reloaded.version),
            loaded_at=utc_text(reloaded.loaded_at),
            added=reloaded.added,
            removed=reloaded.removed,
            changed=reloaded.changed,
        )


class EntryPatchIn(msgspec.Struct, frozen=True, kw_only=True):
    enabled: bool
    expected_version: Version | UnsetType = UNSET


class ReloadIn(msgspec.Struct, frozen=True, kw_only=True):
    dry_run: bool = False


_FOR_GOOD: Final = ReloadIn()


class CatalogueController(Controller):
    path = "/admin"
    tags = ("Administration",)

    @get(
        "/models",
        status_code=200,
        operation_id="mini_chat.list_catalogue",
        summary="List every model, enabled or not",
        opt=endpoint(Action.READ_CATALOGUE),
    )
    async def list_catalogue(
        self, subject: NamedDependency[Subject], administration: NamedDependency[CatalogueAdministration]
    ) -> CatalogueOut:
        return CatalogueOut.of(administration.look(subject))

    @post(
        "/models:reload",
        status_code=200,
        operation_id="mini_chat.reload_catalogue",
        summary="Read the catalogue again; the last good one stays if it is refused",
        opt=endpoint(Action.CHANGE_CATALOGUE, CatalogueInvalid),
    )
    async def reload_catalogue(
        self,
        subject: NamedDependency[Subject],
        administration: NamedDependency[CatalogueAdministration],
        data: JSONBody[ReloadIn] = _FOR_GOOD,
    ) -> ReloadedOut:
        return ReloadedOut.of(await administration.reload(subject, dry_run=data.dry_run))

    @patch(
        "/models/{model_id:str}",
        status_code=200,
        operation_id="mini_chat.change_catalogue_entry",
        summary="Enable or disable a model, whatever its catalogue says",
        opt=endpoint(Action.CHANGE_CATALOGUE, ModelNotFound, VersionConflict),
    )
    async def change_catalogue_entry(
        self,
        model_id: FromPath[str],
        data: JSONBody[EntryPatchIn],
        subject: NamedDependency[Subject],
        administration: NamedDependency[CatalogueAdministration],
    ) -> EntryOut:
        entry = await administration.change(subject, model_id, given(data.expected_version), enabled=data.enabled)
        return EntryOut.of_entry(entry)

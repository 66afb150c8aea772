"""Which model works for the system, if any may at the moment."""

from collections.abc import Mapping
from typing import Final

from domain.catalogue.models import ModelSpec, Tier
from domain.catalogue.ports import Catalogue
from domain.clock import Clock
from domain.errors import GenerationDisabled
from domain.ids import TenantId
from domain.switches.board import Switchboard
from domain.switches.models import Feature, SwitchScope, Wants
from domain.system_calls.models import PURPOSES, RefusedFor, SystemCallRefused, SystemTask

_FEATURES: Final = {SystemTask.TITLE: Feature.TITLES, SystemTask.SUMMARY: Feature.SUMMARY}


class SystemModels:
    """`catalogue` is the one in force with every entry, those that are not meant for chats too.

    `configured` names the model of a task where the deployment wants a certain one.
    """

    def __init__(
        self, catalogue: Catalogue, board: Switchboard, configured: Mapping[SystemTask, str], clock: Clock
    ) -> None:
        self._catalogue = catalogue
        self._board = board
        self._configured = configured
        self._clock = clock

    @property
    def version(self) -> int:
        """Of the catalogue. Raises ServiceUnavailable before it was recorded."""
        return self._catalogue.version

    def choose(self, tenant_id: TenantId, task: SystemTask, chat_model: str) -> ModelSpec:
        """The configured one, else the first that is meant for the task, else the chat's own.

        One that is disabled or switched off is not replaced by the next of these kinds. Raises SystemCallRefused,
        and ServiceUnavailable while this process does not know what is switched off.
        """
        self._refuse(tenant_id, task)
        usable = next((model for model in self._wanted(task, chat_model) if self._is_open(model)), None)
        if usable is None:
            raise SystemCallRefused(RefusedFor.NO_MODEL)
        return usable

    def _refuse(self, tenant_id: TenantId, task: SystemTask) -> None:
        state, now = self._board.state, self._clock.now()
        try:
            state.refuse(tenant_id, Wants(), now)
        except GenerationDisabled:
            raise SystemCallRefused(RefusedFor.SWITCHED_OFF) from None
        if state.holds(SwitchScope.FEATURE, _FEATURES[task], now):
            raise SystemCallRefused(RefusedFor.SWITCHED_OFF)

    def _wanted(self, task: SystemTask, chat_model: str) -> tuple[ModelSpec, ...]:
        models, name = self._catalogue.models(), self._configured.get(task)
        meant = () if name else tuple(model for model in models if PURPOSES[task] in model.purposes)
        return meant or tuple(model for model in models if model.id == (name or chat_model))

    def _is_open(self, model: ModelSpec) -> bool:
        state, now = self._board.state, self._clock.now()
        is_early = model.available_from is not None and now < model.available_from
        is_closed = model.tier is Tier.PREMIUM and state.closes_premium(now) is not None
        return model.enabled and not (is_early or is_closed or state.closes(model.id, model.provider_id, now))

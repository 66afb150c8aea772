"""The catalogue as users meet it at this moment: without the models that are closed, or not there for them yet."""

from datetime import datetime

from msgspec.structs import replace

from domain.catalogue.models import ModelSpec
from domain.catalogue.ports import Catalogue
from domain.clock import Clock
from domain.providers.request import Purpose
from domain.switches.board import Switchboard


class SwitchedCatalogue:
    """Fills Catalogue: a model counts as disabled whose switch, or whose provider's, holds.

    So do one whose time has not come and one that is not meant for chats.
    """

    def __init__(self, catalogue: Catalogue, board: Switchboard, clock: Clock) -> None:
        self._catalogue = catalogue
        self._board = board
        self._clock = clock

    @property
    def version(self) -> int:
        return self._catalogue.version

    def models(self) -> tuple[ModelSpec, ...]:
        models, state = self._catalogue.models(), self._board.last_known
        now = self._clock.now()
        closed = {model.id for model in models if _is_hidden(model, now)}
        if state.switches:
            closed.update(model.id for model in models if state.closes(model.id, model.provider_id, now))
        if not closed:
            return models
        return tuple(replace(model, enabled=False) if model.id in closed else model for model in models)


def _is_hidden(model: ModelSpec, now: datetime) -> bool:
    is_early = model.available_from is not None and now < model.available_from
    return is_early or Purpose.CHAT not in model.purposes

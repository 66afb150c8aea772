"""The catalogue as users meet it at this moment: without the models that operators have closed."""

from msgspec.structs import replace

from domain.catalogue.models import ModelSpec
from domain.catalogue.ports import Catalogue
from domain.clock import Clock
from domain.switches.board import Switchboard


class SwitchedCatalogue:
    """Fills Catalogue: a model whose switch, or whose provider's, holds counts as disabled."""

    def __init__(self, catalogue: Catalogue, board: Switchboard, clock: Clock) -> None:
        self._catalogue = catalogue
        self._board = board
        self._clock = clock

    def models(self) -> tuple[ModelSpec, ...]:
        models, state = self._catalogue.models(), self._board.last_known
        if not state.switches:
            return models
        now = self._clock.now()
        return tuple(
            replace(model, enabled=False) if state.closes(model.id, model.provider_id, now) else model
            for model in models
        )

"""What operators have switched off, as a send meets it."""

from typing import Final

from domain.catalogue.resolver import DowngradeReason
from domain.clock import Clock
from domain.ids import TenantId
from domain.switches.board import Switchboard
from domain.switches.models import Feature, Tool, Wants

_REASONS: Final = {
    Feature.FORCE_STANDARD_TIER: DowngradeReason.FORCE_STANDARD_TIER,
    Feature.PREMIUM_TIER: DowngradeReason.DISABLE_PREMIUM_TIER,
}


class SwitchGate:
    """Raises ServiceUnavailable while this process does not know what is switched off."""

    def __init__(self, board: Switchboard, clock: Clock) -> None:
        self._board = board
        self._clock = clock

    def refuse(self, tenant_id: TenantId, wants: Wants) -> None:
        """Raises GenerationDisabled, WebSearchDisabled, ImagesDisabled, in this order."""
        self._board.state.refuse(tenant_id, wants, self._clock.now())

    def summaries_closed(self) -> bool:
        return self._board.state.closes_summaries(self._clock.now())

    def withheld_tools(self) -> frozenset[Tool]:
        """The tools that no model is offered at the moment."""
        return self._board.state.withheld_tools(self._clock.now())

    def premium_closed(self) -> DowngradeReason | None:
        """Why no premium model may answer at the moment; None if they may."""
        feature = self._board.state.closes_premium(self._clock.now())
        return None if feature is None else _REASONS[feature]

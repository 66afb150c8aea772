"""Ends running turns that an operator has switched off (engine.md 5.4)."""

from collections.abc import Sequence

from domain.clock import Clock
from domain.ids import TurnId
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.streaming.supervisor import TurnSupervisor
from domain.switches.board import Switchboard


class SwitchEnforcement:
    """A turn is looked at once it can be found here, and again when switches change: none slips between."""

    def __init__(self, supervisor: TurnSupervisor, board: Switchboard, clock: Clock) -> None:
        self._supervisor = supervisor
        self._board = board
        self._clock = clock

    def look(self) -> Sequence[TurnId]:
        """Stops every turn of this process that a switch is about, and tells which."""
        return [actor.brief.turn_id for actor in self._supervisor.running_turns() if self.look_at(actor.brief)]

    def look_at(self, brief: TurnBrief) -> bool:
        """Stops the turn if a switch is about it."""
        if self._board.state.aborting(brief.facts, self._clock.now()) is None:
            return False
        self._supervisor.stop(brief.turn_id, StopReason.SWITCHED_OFF)
        return True

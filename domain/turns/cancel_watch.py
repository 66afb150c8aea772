"""Looks into the rows for cancellations that no message has told us of."""

from typing import Final

from domain.streaming.supervisor import TurnSupervisor
from domain.turns.bus import Bus
from domain.turns.ports import CancelFlags

_ROUNDS_BETWEEN_WITH_BUS: Final = 3
"""Our end of the bus may be well while whoever wants to tell us something is cut off from it."""


class CancelWatch:
    """One statement for all turns of the process. Costs nothing while nothing runs."""

    def __init__(self, supervisor: TurnSupervisor, flags: CancelFlags, bus: Bus) -> None:
        self._supervisor = supervisor
        self._flags = flags
        self._bus = bus
        self._rounds_left_out = 0

    async def look(self) -> None:
        """A round; with a healthy bus most are left out. Raises ServiceUnavailable."""
        actors = self._supervisor.running_turns()
        if not actors or self._may_be_left_out():
            return
        self._rounds_left_out = 0
        for turn_id, reason in (await self._flags.raised([actor.brief for actor in actors])).items():
            self._supervisor.stop(turn_id, reason)

    def _may_be_left_out(self) -> bool:
        if not self._bus.healthy or self._rounds_left_out + 1 >= _ROUNDS_BETWEEN_WITH_BUS:
            return False
        self._rounds_left_out += 1
        return True

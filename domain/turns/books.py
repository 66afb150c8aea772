"""What a running turn writes down: that its provider is called, and how it ended."""

from domain.streaming.events import Done, TurnError
from domain.streaming.models import StopReason
from domain.streaming.ports import Closing, TurnBrief
from domain.turns.calling import CallMark
from domain.turns.finalisation import TurnFinaliser


class TurnBooks:
    """Fills the port Books."""

    def __init__(self, mark: CallMark, finaliser: TurnFinaliser) -> None:
        self._mark = mark
        self._finaliser = finaliser

    async def may_call(self, brief: TurnBrief) -> StopReason | None:
        return await self._mark.place(brief)

    async def may_call_instead(self, brief: TurnBrief) -> StopReason | None:
        return await self._mark.go_over(brief)

    async def finish(self, closing: Closing) -> Done | TurnError:
        return await self._finaliser.finish(closing)

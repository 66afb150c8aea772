"""The port Cancellations over tables in memory."""

from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from domain.ids import TurnId
from domain.streaming.models import StopReason
from domain.turns.models import TurnEnding, TurnState
from tests.fakes.tables import TurnRecord, View


class MemoryCancellations:
    def __init__(self, view: View) -> None:
        self._view = view

    async def request(self, turn_id: TurnId, reason: StopReason) -> None:
        await checkpoint()
        self._view.require_write()
        turn = self._ours(turn_id)
        if turn is None or turn.status.state is not TurnState.RUNNING or turn.cancel_requested_at is not None:
            return
        flagged = replace(turn, cancel_requested_at=self._view.now, cancel_reason=reason.value)
        self._view.replace(self._view.tables.turns, turn_id, flagged)

    async def ending(self, turn_id: TurnId) -> TurnEnding | None:
        await checkpoint()
        turn = self._ours(turn_id)
        if turn is None or turn.status.state is TurnState.RUNNING:
            return None
        return TurnEnding(
            state=turn.status.state,
            output_tokens=turn.output_tokens,
            upstream_closed_ms=turn.upstream_closed_ms,
            charged_micro=0,
            released_micro=0,
        )

    def _ours(self, turn_id: TurnId) -> TurnRecord | None:
        turn = self._view.tables.turns.get(turn_id)
        return turn if turn is not None and turn.user_id == self._view.scope.user_id else None

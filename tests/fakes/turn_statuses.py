"""The port Statuses over tables in memory."""

from anyio.lowlevel import checkpoint

from domain.ids import ChatId
from domain.turns.models import LATEST, TurnLookup, TurnName
from tests.fakes.tables import TurnRecord, View


class MemoryStatuses:
    def __init__(self, view: View) -> None:
        self._view = view

    async def find(self, chat_id: ChatId, name: TurnName) -> TurnLookup | None:
        await checkpoint()
        if self._view.live_chat(chat_id) is None:
            return None
        turns = [turn for turn in self._view.tables.turns.values() if turn.status.chat_id == chat_id]
        found = _newest(turns) if name == LATEST else _named(turns, name)
        return TurnLookup(turn=None if found is None else found.status)


def _newest(turns: list[TurnRecord]) -> TurnRecord | None:
    live = [turn for turn in turns if turn.status.deleted_at is None]
    return max(live, key=lambda turn: turn.user_seq, default=None)


def _named(turns: list[TurnRecord], name: TurnName) -> TurnRecord | None:
    return next((turn for turn in turns if turn.status.request_id == name), None)

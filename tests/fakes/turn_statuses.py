"""The port Statuses over tables in memory, and how it finds turns by name."""

from collections.abc import Sequence

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
        found = turn_named(self._view.turns_of(chat_id), name)
        return TurnLookup(turn=None if found is None else found.status)


def turn_named(turns: Sequence[TurnRecord], name: TurnName) -> TurnRecord | None:
    if name == LATEST:
        return newest_live(turns)
    return next((turn for turn in turns if turn.status.request_id == name), None)


def newest_live(turns: Sequence[TurnRecord]) -> TurnRecord | None:
    live = [turn for turn in turns if turn.status.deleted_at is None]
    return max(live, key=lambda turn: turn.user_seq, default=None)

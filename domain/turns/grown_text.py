"""Keeps what running answers have grown by, so that a lost process loses seconds and not the answer."""

from collections.abc import Collection, Sequence

import msgspec

from domain.ids import TurnId
from domain.streaming.actor import TurnActor
from domain.turns.models import SavedPart
from domain.turns.ports import Leases


class _Saved(msgspec.Struct, frozen=True):
    """How much of a turn's answer is in its parts already."""

    parts: int
    characters: int


_NOTHING = _Saved(0, 0)


class GrownText:
    """A part whose commit was not confirmed is sent again unchanged, so that the parts never gap nor overlap."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._saved: dict[TurnId, _Saved] = {}
        self._unconfirmed: dict[TurnId, SavedPart] = {}

    async def save(self, running: Sequence[TurnActor], ours: Collection[TurnId]) -> None:
        """Of the running turns, those that are `ours` beyond doubt. Raises ServiceUnavailable."""
        self._forget_all_but({actor.brief.turn_id for actor in running})
        grown = [part for part in map(self._next_part, running) if part.body and part.brief.turn_id in ours]
        self._unconfirmed.update((part.brief.turn_id, part) for part in grown)
        saved = await self._leases.save(grown) if grown else ()
        for part in grown:
            if part.brief.turn_id not in saved:
                continue
            before = self._saved.get(part.brief.turn_id, _NOTHING)
            self._saved[part.brief.turn_id] = _Saved(part.part_no, before.characters + len(part.body))
            del self._unconfirmed[part.brief.turn_id]

    def _next_part(self, actor: TurnActor) -> SavedPart:
        brief = actor.brief
        if brief.turn_id in self._unconfirmed:
            return self._unconfirmed[brief.turn_id]
        saved = self._saved.get(brief.turn_id, _NOTHING)
        return SavedPart(
            brief=brief,
            part_no=saved.parts + 1,
            last_event=actor.feed.next_number - 1,
            body=actor.transcript.text[saved.characters :],
        )

    def _forget_all_but(self, running: Collection[TurnId]) -> None:
        self._saved = {turn_id: saved for turn_id, saved in self._saved.items() if turn_id in running}
        self._unconfirmed = {turn_id: part for turn_id, part in self._unconfirmed.items() if turn_id in running}

"""The beat: proves that this process lives, for all its turns in one statement (engine.md 2.6)."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from domain.clock import Clock
from domain.errors import ServiceUnavailable
from domain.ids import TurnId
from domain.streaming.actor import TurnActor
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.streaming.supervisor import TurnSupervisor
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.models import SavedPart, TurnState
from domain.turns.ports import Leases, TurnTx
from domain.unit_of_work import Access, UnitOfWork


class _Saved(msgspec.Struct, frozen=True):
    """How much of a turn's answer is in its parts already."""

    parts: int
    characters: int


_NOTHING = _Saved(0, 0)


class LeaseBeat:
    """Renews, saves grown text, and learns of cancellations and lost leases. Costs nothing while nothing runs.

    A part whose commit was not confirmed is sent again unchanged, so that the parts never gap nor overlap.
    """

    def __init__(
        self,
        supervisor: TurnSupervisor,
        leases: Leases,
        begin: UnitOfWork[TurnTx],
        lease: timedelta,
        blind_limit: timedelta,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._supervisor = supervisor
        self._leases = leases
        self._begin = begin
        self._lease = lease
        self._blind_limit = blind_limit
        self._clock = clock
        self._telemetry = telemetry
        self._renewed_at = clock.monotonic()
        self._saved: dict[TurnId, _Saved] = {}
        self._unconfirmed: dict[TurnId, SavedPart] = {}

    async def beat(self) -> None:
        actors = self._supervisor.running_turns()
        if not actors:
            self._renewed_at = self._clock.monotonic()
            self._saved.clear()
            self._unconfirmed.clear()
            return
        grown = self._grown(actors)
        self._unconfirmed = {part.brief.turn_id: part for part in grown}
        try:
            renewed = await self._leases.beat([actor.brief for actor in actors], grown, self._lease)
        except ServiceUnavailable:
            self._stop_if_blind(actors)
            raise
        self._unconfirmed.clear()
        self._renewed_at = self._clock.monotonic()
        self._remember(grown, renewed)
        for turn_id, reason in renewed.items():
            if reason is not None:
                self._supervisor.stop(turn_id, reason)
        for actor in actors:
            if actor.brief.turn_id not in renewed:
                await self._stop_if_lost(actor.brief)

    def _grown(self, actors: Iterable[TurnActor]) -> list[SavedPart]:
        parts = (self._unconfirmed.get(actor.brief.turn_id) or self._next_part(actor) for actor in actors)
        return [part for part in parts if part.body]

    def _next_part(self, actor: TurnActor) -> SavedPart:
        saved = self._saved.get(actor.brief.turn_id, _NOTHING)
        return SavedPart(
            brief=actor.brief,
            part_no=saved.parts + 1,
            last_event=actor.feed.next_number - 1,
            body=actor.transcript.text[saved.characters :],
        )

    def _remember(self, grown: Iterable[SavedPart], renewed: Mapping[TurnId, StopReason | None]) -> None:
        running = {actor.brief.turn_id for actor in self._supervisor.running_turns()}
        self._saved = {turn_id: saved for turn_id, saved in self._saved.items() if turn_id in running}
        for part in grown:
            if part.brief.turn_id in renewed:
                before = self._saved.get(part.brief.turn_id, _NOTHING)
                self._saved[part.brief.turn_id] = _Saved(part.part_no, before.characters + len(part.body))

    async def _stop_if_lost(self, brief: TurnBrief) -> None:
        """A turn may be missing because it is just being finalised; only another owner or an ending stops it."""
        async with self._begin(brief.scope, Access.READ) as tx:
            fence = await tx.turns.fence(brief.turn_id)
        if fence is None or fence.state is not TurnState.RUNNING or fence.owner_epoch != brief.epoch:
            self._telemetry.count(Counted.LEASE_LOST)
            self._supervisor.stop(brief.turn_id, StopReason.LEASE_LOST)

    def _stop_if_blind(self, actors: Iterable[TurnActor]) -> None:
        """Others may own our turns by now: stop paying for them and leave their rows to the reaper."""
        if self._clock.monotonic() - self._renewed_at < self._blind_limit.total_seconds():
            return
        for actor in actors:
            self._supervisor.stop(actor.brief.turn_id, StopReason.LEASE_LOST)

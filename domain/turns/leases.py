"""The beat: proves that this process lives, for all its turns in one statement (engine.md 2.6)."""

from collections.abc import Iterable
from datetime import timedelta

from domain.clock import Clock
from domain.errors import ServiceUnavailable
from domain.streaming.actor import TurnActor
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.streaming.supervisor import TurnSupervisor
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.grown_text import GrownText
from domain.turns.models import TurnState
from domain.turns.ports import Leases, TurnTx
from domain.unit_of_work import Access, UnitOfWork


class LeaseBeat:
    """Renews, learns of cancellations and lost leases, then has grown text saved. Costs nothing while nothing runs.

    Renewing is a transaction of its own: nothing that an answer contains can cost a process its leases.
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
        self._grown_text = GrownText(leases)

    async def beat(self) -> None:
        actors = self._supervisor.running_turns()
        if not actors:
            self._renewed_at = self._clock.monotonic()
            return
        try:
            renewed = await self._leases.renew([actor.brief for actor in actors], self._lease)
        except ServiceUnavailable:
            self._stop_if_blind(actors)
            raise
        self._renewed_at = self._clock.monotonic()
        for turn_id, reason in renewed.items():
            if reason is not None:
                self._supervisor.stop(turn_id, reason)
        for actor in actors:
            if actor.brief.turn_id not in renewed:
                await self._stop_if_lost(actor.brief)
        await self._grown_text.save(actors, renewed)

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

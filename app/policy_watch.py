"""Keeps this process abreast of what operators change at run time, and tells the others when it is changed here."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta

import anyio
from anyio.abc import TaskGroup

from app.periodic import Bell, every
from domain.catalogue.upkeep import CatalogueUpkeep
from domain.errors import ServiceUnavailable
from domain.ids import TurnId
from domain.streaming.models import StopReason
from domain.streaming.supervisor import TurnSupervisor
from domain.switches.board import Switchboard
from domain.switches.ports import Standing
from domain.telemetry.ports import Measured, Telemetry
from domain.turns.bus import Broadcast, PolicyChanged
from domain.turns.switch_enforcement import SwitchEnforcement

_CLOSED_WITHIN_S = 3.0
_log = logging.getLogger(__name__)


class PolicyWatch:
    def __init__(
        self,
        interval: timedelta,
        board: Switchboard,
        catalogue: CatalogueUpkeep,
        enforcement: SwitchEnforcement,
        supervisor: TurnSupervisor,
        broadcast: Broadcast,
        telemetry: Telemetry,
    ) -> None:
        self._bell = Bell()
        self._tasks: TaskGroup | None = None
        self._interval = interval
        self._board = board
        self._catalogue = catalogue
        self._enforcement = enforcement
        self._supervisor = supervisor
        self._broadcast = broadcast
        self._telemetry = telemetry

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Has looked before anything is admitted, if the database lets it, and looks from then on."""
        with suppress(ServiceUnavailable):
            await self.look()
        async with anyio.create_task_group() as self._tasks:
            self._tasks.start_soon(every, self._interval, "policy_watch", self.look, self._bell)
            yield
            self._tasks.cancel_scope.cancel()

    def heard(self, _: PolicyChanged) -> None:
        self._bell.ring()

    async def look(self) -> None:
        """Afterwards admission knows what was switched, and turns that were switched off are ending.

        Raises ServiceUnavailable; what was known before then goes on to hold.
        """
        news = await self._board.refresh()
        stopped = self._enforcement.look()
        if news is not None:
            self._took_effect(news, stopped)
        await self._catalogue.look()

    async def tell(self) -> None:
        """Fills `Tell`: this process obeys when it returns, unless the database cannot be read just now."""
        await self._broadcast.tell_all(PolicyChanged())
        try:
            await self.look()
        except ServiceUnavailable:
            self._bell.ring()

    def _took_effect(self, news: Standing, stopped: Sequence[TurnId]) -> None:
        _log.info("switches_changed", extra={"revision": news.revision, "switches": len(news.switches)})
        self._measure("admission", news.age_s)
        if stopped and self._tasks is not None:
            self._tasks.start_soon(self._see_off, stopped, news.age_s)

    async def _see_off(self, turns: Sequence[TurnId], age_s: float) -> None:
        started = anyio.current_time()
        with anyio.move_on_after(_CLOSED_WITHIN_S):
            for turn_id in turns:
                await self._supervisor.see_off(turn_id, StopReason.SWITCHED_OFF)
            self._measure("abort", age_s + anyio.current_time() - started)

    def _measure(self, mode: str, seconds: float) -> None:
        _log.info("kill_switch_effect", extra={"mode": mode, "duration_ms": round(seconds * 1000)})
        self._telemetry.measure(Measured.KILL_SWITCH_EFFECT, seconds, mode=mode)

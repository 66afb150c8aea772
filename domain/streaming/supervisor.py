"""Owns every running turn of this process: starts them, stops them, sees them off."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
from anyio.abc import TaskGroup

from domain.errors import ServiceUnavailable
from domain.ids import TurnId
from domain.providers.ports import Provider
from domain.providers.request import ProviderRequest
from domain.streaming.actor import TurnActor
from domain.streaming.channel import Receiver
from domain.streaming.fallback import Fallback
from domain.streaming.feed import Feed
from domain.streaming.models import StopReason, StreamLimits
from domain.streaming.ports import Books, OnDisconnect, TurnBrief
from domain.streaming.transcript import Transcript
from domain.telemetry.ports import Counted, Telemetry

_BUSY = timedelta(seconds=1)


class TurnSupervisor:
    """Turns live in its task group, never in a request: a reader may come, go or stall without touching one."""

    def __init__(
        self,
        books: Books,
        limits: StreamLimits,
        monotonic: Callable[[], float],
        telemetry: Telemetry,
    ) -> None:
        self._books = books
        self._limits = limits
        self._monotonic = monotonic
        self._telemetry = telemetry
        self._tasks: TaskGroup | None = None
        self._turns: dict[TurnId, TurnActor] = {}
        self._ends: dict[TurnId, anyio.Event] = {}
        self._idle = anyio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Turns can be started inside. Leaving waits for those still running; `end_all` first."""
        try:
            async with anyio.create_task_group() as self._tasks:
                yield
        finally:
            self._tasks = None

    def running_turns(self) -> tuple[TurnActor, ...]:
        return tuple(self._turns.values())

    def require_permit(self) -> None:
        """Raises ServiceUnavailable when this process runs as many turns as it may."""
        if len(self._turns) >= self._limits.max_running:
            raise ServiceUnavailable(retry_after=_BUSY)

    def start(
        self, brief: TurnBrief, provider: Provider, request: ProviderRequest, fallback: Fallback | None = None
    ) -> Receiver:
        """Starts the turn and returns its first reader. Without an await, so nothing can fall in between.

        A reader that nobody begins to read within `reader_deadline` counts as left: its handler died on the way.
        """
        if self._tasks is None:
            raise RuntimeError("turns are started inside running()")
        feed = Feed(self._limits.capacity, lambda: self._deserted(brief))
        actor = TurnActor(
            brief,
            provider,
            request,
            Transcript(
                self._monotonic,
                self._limits.max_text_bytes,
                exposes_reasoning=brief.resolution.effective.exposes_reasoning,
                tool_limits=brief.tool_limits,
            ),
            feed,
            self._books,
            self._limits,
            self._telemetry,
            self._monotonic,
            fallback,
        )
        if not self._turns:
            self._idle = anyio.Event()
        self._turns[brief.turn_id] = actor
        model = brief.resolution.effective
        self._telemetry.count(Counted.STREAM_STARTED, provider=model.provider_id, model=model.id)
        first_reader = feed.attach(self._limits.reader_deadline)
        actor.begin()
        self._tasks.start_soon(self._run, actor)
        return first_reader

    def attach(self, turn_id: TurnId, position: int) -> Receiver | None:
        """A further reader of a turn that runs here, who has had the events up to `position`; None if it does not.

        Counts as the first one does when it leaves, or never begins to read. Raises RateLimited.
        """
        actor = self._turns.get(turn_id)
        return None if actor is None or actor.feed.closed else actor.attach(position)

    def stop(self, turn_id: TurnId, reason: StopReason) -> None:
        """Stops the turn if it runs here."""
        actor = self._turns.get(turn_id)
        if actor is not None:
            actor.stop(reason)

    def find(self, turn_id: TurnId) -> TurnActor | None:
        """The turn, if it runs here."""
        return self._turns.get(turn_id)

    async def see_off(self, turn_id: TurnId, reason: StopReason) -> bool:
        """Stops the turn and returns when its books are closed; False if it does not run here."""
        actor = self._turns.get(turn_id)
        if actor is None:
            return False
        actor.stop(reason)
        await self._ends.setdefault(turn_id, anyio.Event()).wait()
        return True

    async def wait_idle(self, patience: timedelta) -> None:
        """Returns when no turn runs, or when the patience is over."""
        with anyio.move_on_after(patience.total_seconds()):
            await self._until_idle()

    async def end_all(self) -> None:
        """Ends what still runs as `server_shutdown`; returns when all of it is settled."""
        for actor in self.running_turns():
            actor.stop(StopReason.DRAIN)
        await self._until_idle()

    async def _until_idle(self) -> None:
        while self._turns:
            await self._idle.wait()

    async def _run(self, actor: TurnActor) -> None:
        try:
            await actor.run()
        finally:
            turn_id = actor.brief.turn_id
            del self._turns[turn_id]
            if turn_id in self._ends:
                self._ends.pop(turn_id).set()
            if not self._turns:
                self._idle.set()

    def _deserted(self, brief: TurnBrief) -> None:
        self._telemetry.count(Counted.STREAM_DISCONNECTED)
        if brief.on_disconnect is OnDisconnect.CANCEL:
            self.stop(brief.turn_id, StopReason.DISCONNECT)

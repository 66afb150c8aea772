"""Shows running turns to processes that follow them, for as long as they ask (engine.md 3.4)."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
from anyio.abc import TaskGroup

from domain.errors import RateLimited
from domain.ids import OwnerId, TurnId
from domain.streaming.actor import TurnActor
from domain.streaming.channel import ReaderDropped
from domain.streaming.events import Numbered
from domain.streaming.supervisor import TurnSupervisor
from domain.turns.bus import Bus, FollowTurn, LeaveTurn, ShowEvents
from domain.turns.follower import ASKED_AGAIN_AFTER
from domain.turns.shown_events import shown

PRESENT_FOR = 3 * ASKED_AGAIN_AFTER
_GATHERED_FOR = timedelta(milliseconds=20)
_MANY = 16


class Mirror:
    """One turn, read by one other process; it counts as a reader until that process has not asked for too long."""

    def __init__(self, actor: TurnActor, position: int, present_for_s: float, sequence: int) -> None:
        """Raises RateLimited."""
        self.actor = actor
        self.asked = position
        self._sequence = sequence
        self.reader = actor.attach(position)
        self._present_for_s = present_for_s
        self.wanted_until = anyio.current_time() + present_for_s

    def ask_again(self, position: int, sequence: int) -> None:
        """Goes on for longer, and after `position` again. Raises RateLimited, and then goes on as it was."""
        self._sequence = max(sequence, self._sequence)
        self.wanted_until = anyio.current_time() + self._present_for_s
        if position < self.reader.cursor:
            before, self.reader = self.reader, self.actor.attach(position, instead_of=self.reader)
            self.asked = position
            before.leave()

    def leave(self, sequence: int) -> None:
        """Ends it, unless it was asked for after that was said."""
        if sequence > self._sequence:
            self.reader.leave()


class Mirrors:
    """Costs nothing while nobody asks: no task, no word to anybody."""

    def __init__(self, supervisor: TurnSupervisor, bus: Bus, present_for: timedelta = PRESENT_FOR) -> None:
        self._supervisor = supervisor
        self._bus = bus
        self._present_for_s = present_for.total_seconds()
        self._tasks: TaskGroup | None = None
        self._mirrors: dict[tuple[TurnId, OwnerId], Mirror] = {}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Turns can be shown inside. Leaving ends what is still shown."""
        try:
            async with anyio.create_task_group() as self._tasks:
                yield
                self._tasks.cancel_scope.cancel()
        finally:
            self._tasks = None

    def follow(self, word: FollowTurn) -> None:
        """The handler of what processes ask; a turn that is not ours, or no longer, is not shown."""
        actor = self._supervisor.find(word.turn_id)
        if actor is None or actor.feed.closed or self._tasks is None:
            return
        if not word.means(actor.brief):
            return
        key = (word.turn_id, word.reader)
        try:
            if key in self._mirrors:
                self._mirrors[key].ask_again(word.position, word.sequence)
                return
            mirror = Mirror(actor, word.position, self._present_for_s, word.sequence)
        except RateLimited:
            return
        self._mirrors[key] = mirror
        self._tasks.start_soon(self._show, mirror, word.reader)

    def leave(self, word: LeaveTurn) -> None:
        """The handler of processes that have nobody left to read a turn."""
        mirror = self._mirrors.get((word.turn_id, word.reader))
        if mirror is not None and word.means(mirror.actor.brief):
            mirror.leave(word.sequence)

    async def _show(self, mirror: Mirror, reader: OwnerId) -> None:
        brief = mirror.actor.brief
        try:
            while not mirror.reader.ended and anyio.current_time() < mirror.wanted_until:
                await self._show_next(mirror, reader)
        except ReaderDropped:
            return
        finally:
            mirror.reader.leave()
            del self._mirrors[brief.turn_id, reader]

    async def _show_next(self, mirror: Mirror, reader: OwnerId) -> None:
        events: Sequence[Numbered] = ()
        with anyio.move_on_at(mirror.wanted_until):
            events = await mirror.reader.receive()
        if not events:
            return
        brief = mirror.actor.brief
        word = ShowEvents(
            tenant_id=brief.scope.tenant_id,
            turn_id=brief.turn_id,
            epoch=brief.epoch,
            asked=mirror.asked,
            reach=mirror.reader.cursor,
            events=shown(events),
        )
        await self._bus.tell(reader, word)
        if len(events) < _MANY and not mirror.reader.ended:
            await anyio.sleep(_GATHERED_FOR.total_seconds())

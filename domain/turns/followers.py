"""The followers of this process: who follows which turn, and what reaches them from its owner."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from itertools import count

import anyio
from anyio.abc import TaskGroup

from domain.errors import RateLimited
from domain.ids import OwnerId
from domain.streaming.events import Numbered
from domain.streaming.models import BUSY, StreamLimits
from domain.turns.bus import Bus, FollowTurn, LeaveTurn, ShowEvents
from domain.turns.follower import Followed, Follower, Look
from domain.turns.shown_events import seen

_log = logging.getLogger(__name__)


class Followers:
    def __init__(self, bus: Bus, ourselves: OwnerId, interval: timedelta, limits: StreamLimits) -> None:
        self._bus = bus
        self._ourselves = ourselves
        self._interval = interval
        self._reader_deadline_s = limits.reader_deadline.total_seconds()
        self._max_readers = limits.max_readers
        self._of_turn: defaultdict[Followed, set[Follower]] = defaultdict(set)
        self._sequence = count(1)
        self._tasks: TaskGroup | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Inside, owners are told at once when nobody here reads their turn any more; else they find out."""
        try:
            async with anyio.create_task_group() as self._tasks:
                yield
        finally:
            self._tasks = None

    def follow(
        self, turn: Followed, owner: OwnerId | None, first: Sequence[Numbered], position: int, look: Look
    ) -> Follower:
        """Tells `first` at once. A reader nobody begins to read counts as left.

        Raises RateLimited when the turn has as many readers here as it may have.
        """
        if len(self._of_turn.get(turn, ())) >= self._max_readers:
            raise RateLimited("This turn has as many readers as it may have.", retry_after=BUSY)
        ask = partial(self._ask, turn, owner)
        follower = Follower(first, position, ask, look, self._interval, partial(self._forget, turn, owner))
        self._of_turn[turn].add(follower)
        asyncio.get_running_loop().call_later(self._reader_deadline_s, follower.leave_unless_begun)
        return follower

    def show(self, word: ShowEvents) -> None:
        """The handler of what owners show to this process."""
        followers = self._of_turn.get(Followed(word.tenant_id, word.turn_id, word.epoch), ())
        if not followers:
            return
        try:
            events = seen(word.events)
        except (ValueError, RecursionError):
            _log.warning("shown_events_not_understood")
            return
        for follower in tuple(followers):
            follower.take(events, word.asked, word.reach)

    def end_all(self) -> None:
        """Ends their connections without a terminal event: their turns go on, and they resume elsewhere."""
        for followers in tuple(self._of_turn.values()):
            for follower in tuple(followers):
                follower.leave()

    async def _ask(self, turn: Followed, owner: OwnerId | None, position: int) -> None:
        if owner is None:
            return
        word = FollowTurn(
            tenant_id=turn.tenant_id,
            turn_id=turn.turn_id,
            epoch=turn.epoch,
            position=position,
            reader=self._ourselves,
            sequence=next(self._sequence),
        )
        await self._bus.tell(owner, word)

    def _forget(self, turn: Followed, owner: OwnerId | None, follower: Follower) -> None:
        followers = self._of_turn.get(turn)
        if followers is None:
            return
        followers.discard(follower)
        if not followers:
            del self._of_turn[turn]
            if owner is not None and self._tasks is not None:
                self._tasks.start_soon(self._say_that_all_left, turn, owner)

    async def _say_that_all_left(self, turn: Followed, owner: OwnerId) -> None:
        word = LeaveTurn(
            tenant_id=turn.tenant_id,
            turn_id=turn.turn_id,
            epoch=turn.epoch,
            reader=self._ourselves,
            sequence=next(self._sequence),
        )
        await self._bus.tell(owner, word)

"""Reading a turn that runs in another process through its row alone: late, never wrong (api.md 4.6)."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial

import anyio

from domain.errors import DomainError, RateLimited, ServiceUnavailable
from domain.ids import TurnId
from domain.streaming.channel import Taker
from domain.streaming.events import Numbered
from domain.streaming.models import BUSY, MOST_READERS

Look = Callable[[], Awaitable[Sequence[Numbered] | None]]
"""The rest of the turn once it has ended, None while it runs. A refusal says that there is nothing left to follow."""


class RowFollower:
    """A Reader that has `first` to tell at once and the rest when the turn has ended; it looks at each interval."""

    def __init__(
        self, first: Sequence[Numbered], look: Look, interval: timedelta, left: "Callable[[RowFollower], None]"
    ) -> None:
        self._events = first
        self._look = look
        self._interval_s = interval.total_seconds()
        self._left = left
        self._woken = anyio.Event()
        self._look_at = anyio.current_time()
        self._begun = False
        self._over = False

    @property
    def ended(self) -> bool:
        return self._over and not self._events

    async def receive(self) -> Sequence[Numbered]:
        self._begun = True
        if not (self._events or self._over) and await self._is_time_to_look():
            await self._look_once()
        events, self._events = self._events, ()
        return events

    def hand_over_to(self, taker: Taker) -> None:
        """Nothing is published here."""

    def wake(self) -> None:
        self._woken.set()

    def leave(self) -> None:
        self._over, self._events = True, ()
        self.wake()
        self._left(self)

    def leave_unless_begun(self) -> None:
        if not self._begun:
            self.leave()

    async def _is_time_to_look(self) -> bool:
        """False when woken before."""
        with anyio.move_on_after(self._look_at - anyio.current_time()):
            await self._woken.wait()
        woken = self._woken.is_set()
        self._woken = anyio.Event()
        return not woken

    async def _look_once(self) -> None:
        self._look_at = anyio.current_time() + self._interval_s
        try:
            rest = await self._look()
        except ServiceUnavailable:
            return
        except DomainError:
            rest = ()
        if rest is not None and not self._over:
            self._events, self._over = rest, True


class RowFollowers:
    """The row followers of this process."""

    def __init__(self, interval: timedelta, reader_deadline: timedelta) -> None:
        self._interval = interval
        self._reader_deadline_s = reader_deadline.total_seconds()
        self._of_turn: defaultdict[TurnId, set[RowFollower]] = defaultdict(set)

    def follow(self, turn_id: TurnId, first: Sequence[Numbered], look: Look) -> RowFollower:
        """A reader nobody begins to read counts as left. Raises RateLimited when the turn has 8 readers here."""
        if len(self._of_turn.get(turn_id, ())) >= MOST_READERS:
            raise RateLimited("This turn has as many readers as it may have.", retry_after=BUSY)
        follower = RowFollower(first, look, self._interval, partial(self._forget, turn_id))
        self._of_turn[turn_id].add(follower)
        asyncio.get_running_loop().call_later(self._reader_deadline_s, follower.leave_unless_begun)
        return follower

    def end_all(self) -> None:
        """Ends their connections without a terminal event: their turns go on, and they resume elsewhere."""
        for followers in tuple(self._of_turn.values()):
            for follower in tuple(followers):
                follower.leave()

    def _forget(self, turn_id: TurnId, follower: RowFollower) -> None:
        followers = self._of_turn.get(turn_id, set())
        followers.discard(follower)
        if not followers:
            self._of_turn.pop(turn_id, None)

"""Reading a turn that runs in another process (api.md 4.6): live where its owner shows it, else late; never wrong.

owner's mirror ──▶ take()           while words travel between the processes
row of the turn ─▶ every interval   once nothing has come for so long: only an end can be seen there
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta

import anyio
import msgspec

from domain.errors import DomainError, ServiceUnavailable
from domain.ids import TenantId, TurnId
from domain.streaming.channel import Taker
from domain.streaming.events import FIRST_NUMBER, Done, Numbered, StreamStarted, TurnError
from domain.turns.replay import rest_after

ASKED_AGAIN_AFTER = timedelta(seconds=5)
_NOT_SOONER_THAN_S = 0.1
_MOST_WAITING = 1024

Look = Callable[[], Awaitable[Sequence[Numbered] | None]]
"""The condensed turn once it has ended, None while it runs. A refusal says that there is nothing left to follow."""

Ask = Callable[[int], Awaitable[None]]
"""Asks the owner to show what follows a position, and to go on; it may not hear."""


class Followed(msgspec.Struct, frozen=True):
    """A turn under one owner."""

    tenant_id: TenantId
    turn_id: TurnId
    epoch: int


class Follower:
    """A Reader. What it tells has no gap and no double, or it ends without a terminal event and may be resumed."""

    def __init__(
        self,
        first: Sequence[Numbered],
        position: int,
        ask: Ask,
        look: Look,
        interval: timedelta,
        left: "Callable[[Follower], None]",
    ) -> None:
        self._events = list(first)
        self._has_told = bool(first)
        self._position = self._told = first[-1][0] if first else position
        self._ask = ask
        self._look = look
        self._interval_s = interval.total_seconds()
        self._left = left
        self._woken = anyio.Event()
        self._look_at = self._ask_at = self._may_ask_at = anyio.current_time()
        self._is_shown = False
        self._begun = False
        self._over = False

    @property
    def ended(self) -> bool:
        return self._over and not self._events

    async def receive(self) -> Sequence[Numbered]:
        self._begun = True
        if not (self._events or self._over):
            await self._wait()
        events, self._events = self._events, []
        return events

    def take(self, events: Sequence[Numbered], asked: int, reach: int) -> None:
        """What the owner shows, be it doubled or with gaps: what does not fit is left out or asked for again."""
        if self._over or not events:
            return
        self._is_shown = True
        if _is_condensed(events, reach):
            self._take_condensed(events, asked, reach)
            return
        fresh = [each for each in events if each[0] > self._position]
        if not fresh:
            return
        if fresh[0][0] > self._position + 1 or len(self._events) >= _MOST_WAITING:
            self._ask_soon()
            return
        self._add(fresh, fresh[-1][0])

    def hand_over_to(self, taker: Taker) -> None:
        """Nothing is published here."""

    def wake(self) -> None:
        self._woken.set()

    def leave(self) -> None:
        self._over, self._events = True, []
        self.wake()
        self._left(self)

    def leave_unless_begun(self) -> None:
        if not self._begun:
            self.leave()

    async def _wait(self) -> None:
        """Until woken, or until it is time to ask or to look, which is then done."""
        now = anyio.current_time()
        with anyio.move_on_after(min(self._ask_at, self._look_at) - now):
            await self._woken.wait()
        if self._woken.is_set():
            self._woken = anyio.Event()
        elif self._ask_at <= anyio.current_time():
            await self._ask_once()
        else:
            await self._look_once()

    def _ask_soon(self) -> None:
        self._ask_at = self._may_ask_at
        self.wake()

    async def _ask_once(self) -> None:
        """Sooner again as long as nothing is shown: the word, or the answer to it, may have been lost."""
        now = anyio.current_time()
        pause_s = ASKED_AGAIN_AFTER.total_seconds() if self._is_shown else self._interval_s
        self._ask_at, self._may_ask_at = now + pause_s, now + _NOT_SOONER_THAN_S
        self._is_shown = False
        await self._ask(self._position)

    async def _look_once(self) -> None:
        self._look_at = anyio.current_time() + self._interval_s
        try:
            told = await self._look()
        except ServiceUnavailable:
            return
        except DomainError:
            told = ()
        if told is None or self._over:
            return
        rest = rest_after(self._told, told)
        if rest and not (self._has_told and isinstance(rest[0][1], StreamStarted)):
            self._add(rest, rest[-1][0])
        self._over = True

    def _take_condensed(self, events: Sequence[Numbered], asked: int, reach: int) -> None:
        if reach <= self._position:
            return
        if asked != self._position:
            # It answers another follower: what this one lacks may still be had in full.
            self._ask_soon()
        elif self._told == FIRST_NUMBER:
            self._add(events[1:], reach)
        elif self._has_told:
            self._over = True
            self.wake()
        else:
            self._add(events, reach)

    def _add(self, events: Sequence[Numbered], reach: int) -> None:
        """Events that stand for everything up to `reach`: without any text so far, there may be none."""
        self._events.extend(events)
        self._has_told, self._position = True, reach
        self._look_at = anyio.current_time() + self._interval_s
        if events:
            self._told, last = events[-1]
            self._over = isinstance(last, Done | TurnError)
        self.wake()


def _is_condensed(events: Sequence[Numbered], reach: int) -> bool:
    return isinstance(events[0][1], StreamStarted) and len(events) < reach

"""One timer per call, re-armed lazily, because a timeout scope per read would cost more than the read."""

import asyncio
from collections.abc import Callable


class Watchdog:
    """Calls `on_expiry` once, from the loop, when the remote took longer than the present phase allows.

    `expired` stays set. The one reader says when it begins and ends to wait for the remote: time in which it is
    busy elsewhere is not the remote's.
    """

    __slots__ = ("_limit", "_loop", "_on_expiry", "_per_wait", "_rested", "_since", "_timer", "expired")

    def __init__(self, on_expiry: Callable[[], None]) -> None:
        self.expired = False
        self._loop = asyncio.get_running_loop()
        self._on_expiry = on_expiry
        self._limit = 0.0
        self._per_wait = False
        self._since: float | None = None
        self._rested: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def now(self) -> float:
        return self._loop.time()

    def limit_phase(self, limit_s: float) -> None:
        """From now until the next phase at most this long, whatever arrives meanwhile."""
        self._begin(limit_s, per_wait=False)

    def limit_each_wait(self, limit_s: float) -> None:
        """Each wait at most this long."""
        self._begin(limit_s, per_wait=True)

    def waiting(self) -> None:
        if self._per_wait:
            self._since = self._loop.time()
        elif self._rested is not None and self._since is not None:
            self._since += self._loop.time() - self._rested
            self._rested = None

    def resting(self) -> None:
        if self._per_wait:
            self._since = None
        else:
            self._rested = self._loop.time()

    def stop(self) -> None:
        """For good; lets go of `on_expiry` as well, whose owner owns this."""
        self._disarm()
        self._on_expiry = _nothing

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, limit_s: float, *, per_wait: bool) -> None:
        """The reader rests as it begins a phase."""
        self._disarm()
        self._limit = limit_s
        self._per_wait = per_wait
        now = self._loop.time()
        self._since = None if per_wait else now
        self._rested = None if per_wait else now
        self._timer = self._loop.call_at(now + limit_s, self._ring)

    def _ring(self) -> None:
        now = self._loop.time()
        due = self._due(now)
        if due > now:
            self._timer = self._loop.call_at(due, self._ring)
            return
        self._timer = None
        self.expired = True
        self._on_expiry()

    def _due(self, now: float) -> float:
        if self._since is None:
            return now + self._limit
        busy_s = 0.0 if self._rested is None else now - self._rested
        return self._since + self._limit + busy_s


def _nothing() -> None:
    pass

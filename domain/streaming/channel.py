"""One reader's view of a turn: a cursor on its log."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from domain.streaming.event_log import EventLog
from domain.streaming.events import Numbered

Taker = Callable[[Sequence[Numbered]], bool]
"""Takes all of the events at once and says True, or takes none and says False; it never waits."""

_log = logging.getLogger(__name__)


class ReaderDropped(Exception):
    """The reader lagged a full channel behind for the whole send deadline; it may resume."""


class Reader(Protocol):
    """What a connection reads a turn through, be the turn live or long ended."""

    @property
    def ended(self) -> bool:
        """Nothing will follow what has been received."""
        ...

    async def receive(self) -> Sequence[Numbered]:
        """All waiting events, waiting for the first if there is none.

        Empty only when woken without one, or after the end. Raises ReaderDropped.
        """
        ...

    def hand_over_to(self, taker: Taker) -> None:
        """Events that find `receive` waiting are offered to `taker` first, from the task that publishes them."""
        ...

    def wake(self) -> None:
        """Makes a waiting `receive` return now, be it with nothing."""
        ...

    def leave(self) -> None:
        """Says that nobody reads any more; safe in any `finally`, as often as you like."""
        ...


class Receiver:
    """A Reader of a live turn. A cancelled wait loses nothing: the cursor moves only when events are handed over.

    `missed` is what it gets first: events up to the cursor, which hold nobody up while they wait.
    """

    __slots__ = (
        "_advanced", "_begun", "_gone", "_left", "_log", "_missed", "_taker", "_waiter", "closed", "cursor", "dropped",
    )  # fmt: skip

    def __init__(
        self,
        log: EventLog,
        cursor: int,
        advanced: Callable[[], None],
        left: "Callable[[Receiver], None]",
        missed: Sequence[Numbered] = (),
    ) -> None:
        self._log = log
        self._missed = missed
        self._advanced = advanced
        self._left = left
        # A bare future: an anyio.Event costs fifteen times as much, once for every delta of every reader.
        self._waiter: asyncio.Future[None] | None = None
        self._taker: Taker | None = None
        self.cursor = cursor
        self._begun = False
        self._gone = False
        self.closed = False
        self.dropped = False

    @property
    def lag(self) -> int:
        """How many events the turn is ahead; negative while the reader waits for a number that is still to come."""
        return self._log.last - self.cursor

    @property
    def ended(self) -> bool:
        return self._gone or (self.closed and self.cursor >= self._log.last and not self._missed)

    async def receive(self) -> Sequence[Numbered]:
        self._begun = True
        if self._missed and not self._gone:
            missed, self._missed = self._missed, ()
            return missed
        if self.cursor >= self._log.last and not (self.closed or self.dropped):
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        if self._gone:
            return ()
        if self.dropped:
            raise ReaderDropped
        events = self._log.since(self.cursor)
        if events:
            self.cursor = events[-1][0]
            self._advanced()
        return events

    def hand_over_to(self, taker: Taker) -> None:
        self._taker = taker

    def announce(self) -> None:
        """Says that there is something to have.

        Whoever waits in `receive` holds nothing that is still to be delivered, so then, and only then, a taker may
        have the events without that task being woken for them.
        """
        if self._waiter is None or self._waiter.done():
            return
        if self._taker is None or not self._handed_over(self._taker):
            self.wake()

    def _handed_over(self, taker: Taker) -> bool:
        events = self._log.since(self.cursor)
        if not events:
            return False
        try:
            taken = taker(events)
        except Exception:
            # It runs inside the turn, which must not suffer for one of its readers.
            _log.exception("reader_failed")
            self.drop()
            return True
        if taken:
            self.cursor = events[-1][0]
            self._advanced()
        return taken

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def close(self) -> None:
        """Nothing will be appended that this reader is to have."""
        self.closed = True
        self.wake()

    def drop(self) -> None:
        """Ends this reader's reading without the end of the turn."""
        self.dropped = True
        self.wake()
        self._left(self)

    def leave(self) -> None:
        """Ends the reading at once: what still waits may be forgotten by now, so it must not be waited for."""
        self._gone = True
        self._taker = None  # it knows this reader: nobody should have to collect the two as garbage
        self.close()
        self._left(self)

    def leave_unless_begun(self) -> None:
        if not self._begun:
            self.leave()


class Recording:
    """A Reader of a turn that ended before this connection came."""

    def __init__(self, events: Sequence[Numbered]) -> None:
        self._events = events

    @property
    def ended(self) -> bool:
        return not self._events

    async def receive(self) -> Sequence[Numbered]:
        events, self._events = self._events, ()
        return events

    def hand_over_to(self, taker: Taker) -> None:
        """Nothing here is published."""

    def wake(self) -> None:
        """Nothing here ever waits."""

    def leave(self) -> None:
        """Nobody else is concerned."""

"""The one place of order: every event of a turn is numbered, checked, appended and announced here."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta

import anyio

from domain.errors import RateLimited
from domain.streaming.channel import Receiver
from domain.streaming.condensed import condensed
from domain.streaming.event_log import EventLog
from domain.streaming.events import FIRST_NUMBER, Citations, Numbered, StreamEvent, StreamStarted
from domain.streaming.models import BUSY, StreamLimits
from domain.streaming.phase import Grammar


class Feed:
    """A turn's events on their way to its readers.

    `deserted` is called when the last reader has gone and the turn has not ended. A reader that stays a full
    channel (`capacity` events) behind holds the turn up, hence its provider, until it is dropped.
    """

    def __init__(self, capacity: int, deserted: Callable[[], None]) -> None:
        self._capacity = capacity
        self._deserted = deserted
        self._log = EventLog()
        self._grammar = Grammar()
        self._receivers: list[Receiver] = []
        self._room: asyncio.Future[None] | None = None
        self._closed = False

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def next_number(self) -> int:
        return self._log.last + 1

    def attach(self, reader_deadline: timedelta) -> Receiver:
        """A reader of everything from here on; if nobody begins to read by then, it counts as left."""
        return self._admit(self._log.last, (), reader_deadline)

    def join(
        self,
        position: int,
        started: StreamStarted,
        said: Callable[[], str],
        limits: StreamLimits,
        instead_of: Receiver | None = None,
    ) -> Receiver:
        """A further reader, who has had the events up to `position`: it gets the others as they were first sent.

        Where the log begins later it gets all that was `said` in one event. In both forms `started` stands for the
        first event. A position that is still to come is waited for. Raises RateLimited when the turn has as many
        readers as it may have; `instead_of`, which is about to leave, does not count.
        """
        if sum(reader is not instead_of for reader in self._receivers) >= limits.max_readers:
            raise RateLimited("This turn has as many readers as it may have.", retry_after=BUSY)
        missed = self._missed(position, started, said)
        return self._admit(max(position, self._log.last), missed, limits.reader_deadline)

    def _missed(self, position: int, started: StreamStarted, said: Callable[[], str]) -> list[Numbered]:
        newest = self._log.last
        if position >= newest:
            return []
        if self._log.holds(position + 1):
            missed = self._log.since(position)
            return missed if position else [(FIRST_NUMBER, started), *missed[1:]]
        _, last = self._log.since(newest - 1)[0]
        return condensed(started, said(), (last,) if isinstance(last, Citations) else (), newest)

    def _admit(self, cursor: int, missed: Sequence[Numbered], reader_deadline: timedelta) -> Receiver:
        receiver = Receiver(self._log, cursor, self._reader_advanced, self._reader_left, missed)
        self._receivers.append(receiver)
        asyncio.get_running_loop().call_later(reader_deadline.total_seconds(), receiver.leave_unless_begun)
        return receiver

    def publish(self, event: StreamEvent) -> None:
        """Raises PhaseViolation, and then nothing was published."""
        self.append(event)
        self.announce()

    def append(self, event: StreamEvent) -> None:
        """Publishes as soon as `announce` says so, and what is announced together is delivered together.

        Raises PhaseViolation, and then nothing was appended.
        """
        self._grammar.advance(event)
        self._log.append(event)

    def announce(self) -> None:
        for receiver in tuple(self._receivers):
            receiver.announce()
        if self._log.last >= self._log.due:
            self._log.let_go(self._taken_by_all())

    def end(self, terminal: StreamEvent) -> None:
        """The last event. Every reader receives it itself, however it had the others, and so learns of the end.

        Raises PhaseViolation, and then nothing was appended.
        """
        self.append(terminal)
        self.close()

    def close(self) -> None:
        """No event follows; readers end once they have taken what waits."""
        self._closed = True
        for receiver in self._receivers:
            receiver.close()

    @property
    def full(self) -> bool:
        behind = self._log.last - self._capacity
        for receiver in self._receivers:  # noqa: SIM110 - asked for every delta: a generator costs as much as the rest
            if receiver.cursor <= behind:
                return True
        return False

    async def wait_for_room(self, deadline: timedelta) -> None:
        """Returns when every reader has room again; one that has none by then is dropped."""
        with anyio.move_on_after(deadline.total_seconds()):
            while self.full:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
        for receiver in tuple(self._receivers):
            if receiver.lag >= self._capacity:
                receiver.drop()

    def _reader_advanced(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _taken_by_all(self) -> int:
        return min((receiver.cursor for receiver in self._receivers), default=self._log.last)

    def _reader_left(self, receiver: Receiver) -> None:
        if receiver not in self._receivers:
            return
        self._receivers.remove(receiver)
        self._reader_advanced()
        if not self._receivers and not self._closed:
            self._deserted()

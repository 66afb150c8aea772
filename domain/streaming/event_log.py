"""The newest numbered events of one turn, for cursors to read from and for readers who come later."""

import msgspec

from domain.streaming.events import Delta, Numbered, StreamEvent

MOST_EVENTS = 1024
MOST_BYTES = 1024 * 1024
_BLOCK = 64


class EventLog:
    """Events are numbered 1, 2, 3… as they are appended; pairs are made when they are read.

    The bounds are kept by `let_go`, to be called once `last` has reached `due`: it looks at whole blocks, so that a
    delta costs an append and nothing else.
    """

    __slots__ = ("_events", "_gone", "_held_bytes", "_measured", "due", "last")

    def __init__(self) -> None:
        self._events: list[StreamEvent] = []
        self._gone = 0
        self._measured = 0
        self._held_bytes = 0
        self.last = 0
        self.due = _BLOCK

    def append(self, event: StreamEvent) -> None:
        self.last += 1
        self._events.append(event)

    def holds(self, number: int) -> bool:
        return self._gone < number <= self.last

    def since(self, number: int) -> list[Numbered]:
        """Everything numbered above `number` that is still held, oldest first."""
        last = self.last
        if number == last - 1:
            return [(last, self._events[-1])]
        first = max(number, self._gone)
        return list(enumerate(self._events[first - self._gone :], first + 1))

    def let_go(self, taken: int) -> None:
        """Brings the log back below its bounds, oldest first; what is numbered above `taken` stays, and the newest."""
        self._measure()
        events, count = self._events, 0
        most = min(taken - self._gone, len(events) - 1)
        while count < most and self._is_over_its_bounds(len(events) - count):
            self._held_bytes -= _size_bytes(events[count])
            count += 1
        del events[:count]
        self._gone += count
        self.due = self.last + _BLOCK

    def _measure(self) -> None:
        self._held_bytes += sum(map(_size_bytes, self._events[self._measured - self._gone :]))
        self._measured = self.last

    def _is_over_its_bounds(self, held: int) -> bool:
        """With room for the block that comes before anybody looks again."""
        return held > MOST_EVENTS - _BLOCK or self._held_bytes > MOST_BYTES


def _size_bytes(event: StreamEvent) -> int:
    if isinstance(event, Delta):
        return len(event.content) if event.content.isascii() else len(event.content.encode())
    return len(msgspec.json.encode(event))

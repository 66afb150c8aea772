"""The newest numbered events of one turn, for cursors to read from and for readers who come later."""

import msgspec

from domain.streaming.events import Delta, Numbered, StreamEvent
from domain.streaming.packed_events import Block, packed, unpacked

MOST_EVENTS = 1024
MOST_BYTES = 1024 * 1024
_BLOCK = 32


class EventLog:
    """Events are numbered 1, 2, 3… as they are appended; pairs are made when they are read.

    The newest are kept as they came, older ones packed. The bounds are kept by `let_go`, to be called once `last` has
    reached `due`: it looks at whole blocks, so that a delta costs an append and nothing else.
    """

    __slots__ = ("_blocks", "_gone", "_held_bytes", "_measured", "_newest", "due", "last")

    def __init__(self) -> None:
        self._blocks: list[Block] = []
        self._newest: list[StreamEvent] = []
        self._gone = 0
        self._measured = 0
        self._held_bytes = 0
        self.last = 0
        self.due = _BLOCK

    def append(self, event: StreamEvent) -> None:
        self.last += 1
        self._newest.append(event)

    def holds(self, number: int) -> bool:
        return self._gone < number <= self.last

    def since(self, number: int) -> list[Numbered]:
        """Everything numbered above `number` that is still held, oldest first."""
        last = self.last
        if number == last - 1:
            return [(last, self._newest[-1])]
        before_newest = last - len(self._newest)
        if number >= before_newest:
            return list(enumerate(self._newest[number - before_newest :], number + 1))
        first = max(number, self._gone)
        older = [event for block in self._blocks for event in unpacked(block)]
        return list(enumerate([*older, *self._newest][first - self._gone :], first + 1))

    def let_go(self, taken: int) -> None:
        """Brings the log back below its bounds, oldest first; what is numbered above `taken` stays, and the newest."""
        self._measure()
        if len(self._newest) >= 2 * _BLOCK:
            self._blocks.append(packed(self._newest[:_BLOCK]))
            del self._newest[:_BLOCK]
        most = min(taken, self.last - 1)
        while self._gone < most and self._is_over_its_bounds():
            self._let_go_of_oldest(most - self._gone)
        self.due = self.last + _BLOCK

    def _let_go_of_oldest(self, most: int) -> None:
        """Of the oldest block as many as have to go."""
        oldest, count = unpacked(self._blocks[0]) if self._blocks else self._newest, 0
        most = min(most, len(oldest))
        while count < most and self._is_over_its_bounds():
            self._held_bytes -= _size_bytes(oldest[count])
            self._gone += 1
            count += 1
        if not self._blocks:
            del self._newest[:count]
        elif count == len(oldest):
            del self._blocks[0]
        else:
            self._blocks[0] = packed(oldest[count:])

    def _measure(self) -> None:
        unmeasured = self.last - self._measured
        self._held_bytes += sum(map(_size_bytes, self._newest[-unmeasured:])) if unmeasured else 0
        self._measured = self.last

    def _is_over_its_bounds(self) -> bool:
        """With room for the block that comes before anybody looks again."""
        return self.last - self._gone > MOST_EVENTS - _BLOCK or self._held_bytes > MOST_BYTES


def _size_bytes(event: StreamEvent) -> int:
    if isinstance(event, Delta):
        return len(event.content) if event.content.isascii() else len(event.content.encode())
    return len(msgspec.json.encode(event))

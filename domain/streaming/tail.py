"""The newest numbered events of one turn, for cursors to read from."""

from collections import deque
from itertools import islice

from domain.streaming.events import Numbered, StreamEvent


class Tail:
    """Events are numbered 1, 2, 3… as they are appended; what every reader has taken is forgotten."""

    __slots__ = ("_events", "last")

    def __init__(self) -> None:
        self._events: deque[Numbered] = deque()
        self.last = 0

    def append(self, event: StreamEvent) -> None:
        self.last += 1
        self._events.append((self.last, event))

    def since(self, number: int) -> list[Numbered]:
        """Everything numbered above `number` that is still held, oldest first."""
        held, wanted = len(self._events), self.last - number
        if wanted >= held:
            return list(self._events)
        return list(islice(self._events, held - wanted, held))

    def forget(self, through: int) -> None:
        """Lets go of everything numbered up to and including `through`."""
        events = self._events
        while events and events[0][0] <= through:
            events.popleft()

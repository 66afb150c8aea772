"""The uses of one holder under one policy within a sliding window, in a fixed number of bytes."""

from array import array
from typing import Final

from domain.limits.models import SLOTS

_SIZE: Final = SLOTS + 1


class Window:
    """A use is in the window from its slot on until the slot has passed and a whole window after it.

    Slots are numbered since the beginning of time. Calls name the present one, which never goes back.
    """

    __slots__ = ("_counts", "_newest", "_tail", "used")

    def __init__(self, slot: int) -> None:
        self._counts = array("I", bytes(4 * _SIZE))
        self._newest = self._tail = slot
        self.used = 0

    def move_to(self, slot: int) -> None:
        """Lets go of what has left the window."""
        passed = min(slot - self._newest, _SIZE)
        for number in range(slot - passed + 1, slot + 1):
            self.used -= self._counts[number % _SIZE]
            self._counts[number % _SIZE] = 0
        self._newest = max(slot, self._newest)
        self._tail = max(self._tail, self._newest - SLOTS)

    def add(self, count: int) -> None:
        if not self.used:
            self._tail = self._newest
        self._counts[self._newest % _SIZE] += count
        self.used += count

    def take_out(self, slot: int, count: int) -> None:
        """What is no longer in the window is left alone."""
        if slot > self._newest - _SIZE:
            out = min(count, self._counts[slot % _SIZE])
            self._counts[slot % _SIZE] -= out
            self.used -= out

    @property
    def oldest(self) -> int | None:
        """The slot whose uses leave first."""
        if not self.used:
            return None
        while not self._counts[self._tail % _SIZE]:
            self._tail += 1
        return self._tail

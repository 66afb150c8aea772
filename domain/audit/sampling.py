"""Which of very many equal events are told."""

from collections import Counter
from collections.abc import Callable, Hashable
from typing import Final

_ONE_IN: Final = 100


class Sampling:
    """The first `per_second` of each key in a second, and every hundredth after them. Forgets with the second."""

    def __init__(self, monotonic: Callable[[], float], per_second: int) -> None:
        self._monotonic = monotonic
        self._per_second = per_second
        self._second = 0
        self._seen: Counter[Hashable] = Counter()

    def takes(self, key: Hashable) -> bool:
        second = int(self._monotonic())
        if second != self._second:
            self._second = second
            self._seen.clear()
        self._seen[key] += 1
        beyond = self._seen[key] - self._per_second
        return beyond <= 0 or beyond % _ONE_IN == 0

"""Keeps calls away from a server that does not answer."""

from collections.abc import Callable
from typing import Final

PROBE_INTERVAL_S: Final = 1.0


class Circuit:
    """Opens with the first failure; from then on one call per probe interval is let through, until one succeeds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._probe_at: float | None = None

    @property
    def is_open(self) -> bool:
        return self._probe_at is not None

    def admits(self) -> bool:
        """Asked once for each call: a call let through an open circuit is the probe."""
        if self._probe_at is None:
            return True
        if self._monotonic() < self._probe_at:
            return False
        self._probe_at = self._monotonic() + PROBE_INTERVAL_S
        return True

    def succeeded(self) -> None:
        self._probe_at = None

    def failed(self) -> None:
        if self._probe_at is None:
            self._probe_at = self._monotonic() + PROBE_INTERVAL_S

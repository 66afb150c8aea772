"""The one place that knows what time it is; everything else is told."""

import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds that never run backwards; only differences mean anything."""
        ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


def utc_text(moment: datetime) -> str:
    """RFC 3339 in UTC with six fractional digits and `Z`, so that string order is time order."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def elapsed_ms(clock: Clock, since: float) -> int:
    """Whole milliseconds since a `monotonic()` reading."""
    return int((clock.monotonic() - since) * 1000)

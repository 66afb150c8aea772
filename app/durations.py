"""Durations as people write them: `250ms`, `30s`, `10m`, `1h`, `7d`."""

import re
from datetime import timedelta

import msgspec

_WRITTEN = re.compile(r"(?P<count>[0-9]{1,9})(?P<unit>ms|s|m|h|d)")
_UNITS = {
    "d": timedelta(days=1),
    "h": timedelta(hours=1),
    "m": timedelta(minutes=1),
    "s": timedelta(seconds=1),
    "ms": timedelta(milliseconds=1),
}


class Between(msgspec.Struct, frozen=True):
    """The durations a setting may take, both ends included."""

    shortest: timedelta
    longest: timedelta


def duration(text: str) -> timedelta:
    """Raises ValueError for anything but a whole number and one unit."""
    written = _WRITTEN.fullmatch(text)
    if written is None:
        raise ValueError("expected a duration such as 250ms, 30s, 10m, 1h or 1d")
    return int(written["count"]) * _UNITS[written["unit"]]


def duration_text(span: timedelta) -> str:
    """The shortest text that `duration` reads as this span; exact to the millisecond."""
    unit = next((unit for unit, size in _UNITS.items() if span and not span % size), "s" if not span else "ms")
    return f"{span // _UNITS[unit]}{unit}"

"""When a remote says it may be asked again (providers-and-files.md 2.1)."""

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from email.utils import parsedate_to_datetime

_MIN_MS = 250
_MAX_MS = 3_600_000
_MS_PER_UNIT = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_NUMBER = re.compile(r"\d{1,12}(?:\.\d{1,9})?")
_MOMENT_OF_RESET = re.compile(r"anthropic-ratelimit-[a-z-]+-reset", re.IGNORECASE)
_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)")


def retry_after_ms(headers: Mapping[str, str]) -> int | None:
    """The first usable hint, clamped to 250 ms … 1 h; None where none is readable and positive.

    `headers` must look names up without regard to case.
    """
    for hint in _hints(headers):
        if hint is not None and hint > 0:
            return int(min(max(hint, _MIN_MS), _MAX_MS))
    return None


def _hints(headers: Mapping[str, str]) -> Iterator[float | None]:
    yield _scaled(headers.get("retry-after-ms"), 1)
    yield _scaled(headers.get("Retry-After"), 1_000)
    yield _until(headers.get("Retry-After"), headers.get("Date"))
    for name, value in headers.items():
        if name.lower().startswith("x-ratelimit-reset-"):
            yield _span(value)
    for name, value in headers.items():
        if _MOMENT_OF_RESET.fullmatch(name):
            yield _until(value, headers.get("Date"))


def _scaled(text: str | None, factor: int) -> float | None:
    return float(text) * factor if text is not None and _NUMBER.fullmatch(text.strip()) else None


def _until(text: str | None, date: str | None) -> float | None:
    """Measured on the remote's own clock, which may differ from ours."""
    then, now = _moment(text), _moment(date)
    if then is None or now is None:
        return None
    return (then - now).total_seconds() * 1_000


def _moment(text: str | None) -> datetime | None:
    """An HTTP date, or a timestamp of RFC 3339."""
    for reads in (parsedate_to_datetime, datetime.fromisoformat):
        with suppress(ValueError):
            moment = reads(text or "")
            return moment if moment.tzinfo is not None else None
    return None


def _span(text: str) -> float | None:
    """Spans such as `12ms` and `1m3s`."""
    parts = _PART.findall(text.strip())
    if not parts or "".join(number + unit for number, unit in parts) != text.strip():
        return None
    return sum(float(number) * _MS_PER_UNIT[unit] for number, unit in parts)

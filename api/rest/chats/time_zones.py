"""Time zones by their IANA names, those of the pinned release: what a machine has installed makes no difference."""

from functools import cache
from importlib.resources import files
from zoneinfo import ZoneInfo

from domain.errors import InvalidRequest


@cache
def zone_named(name: str) -> ZoneInfo:
    """Raises InvalidRequest for any other name. Names are case-sensitive."""
    if name not in _names():
        raise InvalidRequest.of("tz", "This is not the name of an IANA time zone.", "invalid_value")
    return ZoneInfo(name)


@cache
def _names() -> frozenset[str]:
    return frozenset((files("tzdata") / "zones").read_text().split())

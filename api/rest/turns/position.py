"""From where on a turn is to be told: the number of the last event that the caller has (api.md 4.6)."""

import re

from litestar.datastructures import Headers

from api.rest.query_string import pairs_of
from domain.errors import InvalidRequest

_HEADER = "Last-Event-ID"
_OPTION = "after"
_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)


def position_of(headers: Headers, query: bytes) -> int:
    """The header, else `after`, else 0. Raises InvalidRequest for what is no number, or more than one."""
    sent = headers.getall(_HEADER, [])
    if sent:
        return _number(_HEADER, sent)
    return _number(_OPTION, [value for name, value in pairs_of(query) if name == _OPTION] or ["0"])


def _number(field: str, texts: list[str]) -> int:
    text, *more = texts
    if more:
        raise InvalidRequest.of(field, "This is given twice.", "duplicate")
    if not _NUMBER.fullmatch(text):
        raise InvalidRequest.of(field, "This is not the number of an event.", "type")
    return int(text)

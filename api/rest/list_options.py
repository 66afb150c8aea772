"""The query string of a list request: which options were given, as text (api.md 2.1)."""

import re
from collections.abc import Collection, Mapping

from api.rest.query_string import pairs_of
from api.rest.refusals import NotOffered
from domain.errors import InvalidLimit, InvalidRequest

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_MAX_OPTIONS = 100
_MAX_NAME_SHOWN = 64
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_LIMITS = ("limit", "$top")
_FLAGS = {"true": True, "false": False}
_ON_EVERY_LIST = frozenset({*_LIMITS, "cursor", "$filter", "$orderby", "$select", "$count"})
_KNOWN = frozenset(
    {
        "include", "tz", "deleted",
        "$skip", "$skiptoken", "$expand", "$search", "$apply", "$compute", "$levels", "$index", "$format",
        "$schemaversion",
    }
)  # fmt: skip


def options_of(query: bytes, own: Collection[str]) -> dict[str, str]:
    """The options of one list, `own` being those that not every list has. Names without `$` nobody knows are ignored.

    Raises InvalidRequest and NotOffered.
    """
    options: dict[str, str] = {}
    for name, value in pairs_of(query, _MAX_OPTIONS):
        if "\0" in name or "\0" in value:
            raise InvalidRequest.of("query", "Text must not contain U+0000.", "invalid_value")
        if name not in _ON_EVERY_LIST and name not in own:
            _refuse_unless_harmless(name)
            continue
        if name in options:
            raise InvalidRequest.of(name, "This option is given twice.", "duplicate")
        options[name] = value
    return options


def limit_of(options: Mapping[str, str]) -> int:
    """Raises InvalidRequest and InvalidLimit."""
    values = {_integer(name, options[name]) for name in _LIMITS if name in options}
    if len(values) > 1:
        raise InvalidRequest.of("$top", "This differs from limit.", "invalid_value")
    limit = min(values.pop(), MAX_LIMIT) if values else DEFAULT_LIMIT
    if limit < 1:
        raise InvalidLimit
    return limit


def flag_of(options: Mapping[str, str], name: str) -> bool:
    """False when it was not given. Raises InvalidRequest."""
    text = options.get(name, "false")
    if text not in _FLAGS:
        raise InvalidRequest.of(name, "This is neither true nor false.", "invalid_value")
    return _FLAGS[text]


def _refuse_unless_harmless(name: str) -> None:
    if name in _KNOWN:
        raise NotOffered.of(name)
    if name.startswith("$"):
        raise InvalidRequest.of(name[:_MAX_NAME_SHOWN], "There is no such option.", "unknown_option")


def _integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise InvalidRequest.of(name, "This is not an integer.", "type")
    return int(text)

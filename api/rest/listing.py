"""Query options of list routes and the envelope of their answers (api.md 2)."""

import re
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode

import msgspec
from litestar import Request

from api.rest.cursor import Cursors, ListName
from api.rest.refusals import NotOffered
from domain.errors import InvalidLimit, InvalidRequest
from domain.pagination import Page, PageQuery, Position

DEFAULT_LIMIT = 20
MAX_LIMIT = 100

_MAX_OPTIONS = 100
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_LIMITS = ("limit", "$top")
_NOT_OFFERED = frozenset(
    {
        "$filter", "$orderby", "$select", "$count", "include", "tz", "deleted",
        "$skip", "$skiptoken", "$expand", "$search", "$apply", "$compute", "$levels", "$index", "$format",
        "$schemaversion",
    }
)  # fmt: skip

T = TypeVar("T")


class PageInfo(msgspec.Struct, frozen=True, kw_only=True):
    next_cursor: str | None
    prev_cursor: str | None
    limit: int


class Listing:
    """One list request: reads its options, then writes the envelope and the links of its answer."""

    def __init__(self, request: Request[Any, Any, Any], cursors: Cursors, name: ListName) -> None:
        """Raises InvalidRequest, NotOffered, InvalidLimit, InvalidCursor; nothing of this reaches the database."""
        self._path = request.scope["path"]
        self._cursors = cursors
        self._name = name
        options = _options(request.scope["query_string"])
        limit = _limit(options)
        self._cursor = options.get("cursor")
        self.query = PageQuery(limit=limit, position=self._position(self._cursor))

    def page_info(self, page: Page[T]) -> PageInfo:
        return PageInfo(
            next_cursor=self._sealed(page.next), prev_cursor=self._sealed(page.previous), limit=self.query.limit
        )

    def links(self, info: PageInfo) -> dict[str, str]:
        """The Link header (RFC 8288), with the relations that exist."""
        targets = {"next": info.next_cursor, "prev": info.prev_cursor}
        links = [self._link(relation, {"cursor": cursor}) for relation, cursor in targets.items() if cursor]
        return {"Link": ", ".join([*links, self._link("first", {})])}

    def _link(self, relation: str, cursor: Mapping[str, str]) -> str:
        return f'<{self._path}?{urlencode({"limit": self.query.limit, **cursor})}>; rel="{relation}"'

    def _position(self, cursor: str | None) -> Position | None:
        return None if cursor is None else self._cursors.open(self._name, cursor)

    def _sealed(self, position: Position | None) -> str | None:
        return None if position is None else self._cursors.seal(self._name, position)


def _options(query: bytes) -> dict[str, str]:
    """Options by name. Names without `$` that nobody knows are ignored."""
    try:
        pairs = parse_qsl(query.decode(), keep_blank_values=True, errors="strict", max_num_fields=_MAX_OPTIONS)
    except ValueError:
        raise InvalidRequest.of("query", "The query string cannot be read.", "syntax") from None
    options: dict[str, str] = {}
    for name, value in pairs:
        _refuse_option(name, value)
        if name in options and _is_known(name):
            raise InvalidRequest.of(name, "This option is given twice.", "duplicate")
        options[name] = value
    return options


def _is_known(name: str) -> bool:
    return name in _LIMITS or name == "cursor"


def _refuse_option(name: str, value: str) -> None:
    if "\0" in name or "\0" in value:
        raise InvalidRequest.of("query", "Text must not contain U+0000.", "invalid_value")
    if name in _NOT_OFFERED:
        raise NotOffered.of(name)
    if name.startswith("$") and not _is_known(name):
        raise InvalidRequest.of(name[:64], "There is no such option.", "unknown_option")


def _limit(options: Mapping[str, str]) -> int:
    values = {_integer(name, options[name]) for name in _LIMITS if name in options}
    if len(values) > 1:
        raise InvalidRequest.of("$top", "This differs from limit.", "invalid_value")
    limit = min(values.pop(), MAX_LIMIT) if values else DEFAULT_LIMIT
    if limit < 1:
        raise InvalidLimit
    return limit


def _integer(name: str, text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise InvalidRequest.of(name, "This is not an integer.", "type")
    return int(text)

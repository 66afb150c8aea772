"""What nobody should ask a list of chats, and what it answers: the same in process and over a socket."""

from collections.abc import Callable
from typing import Final, TypeAlias
from urllib.parse import quote

import msgspec

Query: TypeAlias = Callable[[str], str]
"""The query string as on the wire, made with a cursor that is good as it is."""


class Refusal(msgspec.Struct, frozen=True):
    """`field` and `fault` are those of the only entry of `errors`, None when there is none."""

    status: int
    code: str
    field: str | None = None
    fault: str | None = None


class Hostile(msgspec.Struct, frozen=True):
    query: Query
    refusal: Refusal


def _option(name: str, text: str) -> Query:
    """Percent-encoded as a well-meaning client would."""
    return lambda _: f"{name}={quote(text)}"


def _as_is(query: str) -> Query:
    return lambda _: query


def _request(field: str, fault: str) -> Refusal:
    return Refusal(400, "invalid_request", field, fault)


def _filter(fault: str) -> Refusal:
    return Refusal(422, "invalid_filter", "$filter", fault)


def _order(fault: str) -> Refusal:
    return Refusal(422, "invalid_orderby", "$orderby", fault)


def _flipped(cursor: str) -> str:
    middle = len(cursor) // 2
    return f"cursor={cursor[:middle]}{'A' if cursor[middle] != 'A' else 'B'}{cursor[middle + 1 :]}"


_NO_CURSOR: Final = Refusal(422, "invalid_cursor")

HOSTILE: Final[dict[str, Hostile]] = {
    "parentheses to the limit of the text": Hostile(
        _option("$filter", "(" * 4000 + "title eq null" + ")" * 4000), _request("$filter", "too_complex")
    ),
    "not of not of not": Hostile(
        _option("$filter", "not " * 2000 + "title eq null"), _request("$filter", "too_complex")
    ),
    "parentheses that never close": Hostile(_option("$filter", "(" * 60 + "title eq null"), _filter("syntax")),
    "a string beyond the bound": Hostile(
        _option("$filter", f"title eq '{'a' * 8192}'"), _request("$filter", "too_long")
    ),
    "four-byte characters beyond the bound": Hostile(
        _option("$filter", f"title eq '{chr(0x1F600) * 2048}'"), _request("$filter", "too_long")
    ),
    "100 kB of filter": Hostile(_as_is(f"$filter={'a' * 100_000}"), _request("$filter", "too_long")),
    "a list of values without end": Hostile(
        _option("$filter", f"title in ({','.join(['null'] * 201)})"), _request("$filter", "too_complex")
    ),
    "NUL": Hostile(_as_is("$filter=title%20eq%20'%00'"), _request("query", "invalid_value")),
    "SQL behind a string": Hostile(_option("$filter", "title eq 'x'; DROP TABLE chats; --"), _filter("syntax")),
    "SQL as a tautology": Hostile(_option("$filter", "title eq '' or 1=1"), _filter("syntax")),
    "SQL in the order": Hostile(_option("$orderby", "title; SELECT pg_sleep(9)"), _order("unknown_field")),
    "a call in the order": Hostile(_option("$orderby", "pg_sleep(9)"), _order("unsupported_function")),
    "SQL in the selection": Hostile(_option("$select", "(SELECT current_user)"), _request("$select", "unknown_field")),
    "a function of the database": Hostile(
        _option("$filter", "pg_read_file('/etc/passwd') eq 'x'"), _filter("unsupported_function")
    ),
    "a column that is no field": Hostile(
        _option("$filter", "tenant_id ne 00000000-0000-0000-0000-000000000000"), _filter("unknown_field")
    ),
    "a path into another object": Hostile(
        _option("$filter", "messages/content eq 'x'"), _filter("unsupported_operator")
    ),
    "an order by what is hidden": Hostile(_option("$orderby", "deleted_at"), _order("unknown_field")),
    "full-width quotes": Hostile(_option("$filter", "title eq \uff07x\uff07"), _filter("syntax")),
    "typographic quotes": Hostile(_option("$filter", "title eq \u2018x\u2019"), _filter("syntax")),
    "a Cyrillic letter": Hostile(_option("$filter", "t\u0456tle eq 'x'"), _filter("syntax")),
    "a zero-width space": Hostile(_option("$filter", "title\u200b eq 'x'"), _filter("syntax")),
    "an unbreakable space": Hostile(_option("$filter", "title\u00a0eq 'x'"), _filter("syntax")),
    "an overlong quote": Hostile(_as_is("$filter=title%20eq%20%c0%a7x%c0%a7"), _request("query", "syntax")),
    "half a surrogate pair": Hostile(_as_is("$filter=title%20eq%20'%ed%a0%80'"), _request("query", "syntax")),
    "a quote encoded twice": Hostile(_as_is("$filter=title%20eq%20%2527x%2527"), _filter("syntax")),
    "a line feed for a space": Hostile(_as_is("$filter=title%20eq%0A'x'"), _filter("syntax")),
    "a header in the query": Hostile(_as_is("$select=id%0D%0ASet-Cookie:a"), _request("$select", "unknown_field")),
    "an option twice, once encoded": Hostile(_as_is("$count=true&%24count=false"), _request("$count", "duplicate")),
    "an encoded dollar": Hostile(_as_is("%24skip=1"), Refusal(501, "not_implemented", "$skip", "unknown_option")),
    "a dollar encoded twice": Hostile(_as_is("limit=1&$%2524top=1"), _request("$%24top", "unknown_option")),
    "a thousand options": Hostile(_as_is("a=1&" * 1000), _request("query", "syntax")),
    "a number beyond every integer": Hostile(_as_is("limit=" + "9" * 5000), _request("limit", "type")),
    "digits of another script": Hostile(_option("limit", "\u0661\u0662"), _request("limit", "type")),
    "a time before time": Hostile(
        _option("$filter", "created_at gt 0001-01-01T00:00:00+23:59"), _filter("type_mismatch")
    ),
    "a forged cursor": Hostile(_as_is(f"cursor={'A' * 200}"), _NO_CURSOR),
    "a cursor cut short": Hostile(lambda cursor: f"cursor={cursor[:-1]}", _NO_CURSOR),
    "a cursor with one bit flipped": Hostile(_flipped, _NO_CURSOR),
    "a cursor twice in one": Hostile(lambda cursor: f"cursor={cursor}{cursor}", _NO_CURSOR),
    "a cursor in padding": Hostile(lambda cursor: f"cursor={cursor}%3D", _NO_CURSOR),
    "a cursor with a filter it never had": Hostile(
        lambda cursor: f"cursor={cursor}&$filter=is_favorite%20eq%20true", _NO_CURSOR
    ),
    "a cursor and an order": Hostile(lambda cursor: f"cursor={cursor}&$orderby=title", _NO_CURSOR),
    "a cursor of 100 kB": Hostile(_as_is(f"cursor={'A' * 100_000}"), _NO_CURSOR),
}

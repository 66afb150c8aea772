"""The Link header of a page (RFC 8288): where a client may go on without building an address itself (api.md 2.6)."""

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode

from domain.filters import OrderKey

MAX_BYTES = 6 * 1024
"""Clients and proxies give up on longer header lines, and the envelope tells the cursors anyway."""

_NOT_KEPT = ("limit", "$top", "cursor", "$orderby")


class PageLinks:
    """Every link repeats the options of the request; a cursor stands in the place of `$orderby`.

    `order` is the one in force, empty when it is the list's own.
    """

    def __init__(self, path: str, options: Mapping[str, str], limit: int, order: Sequence[OrderKey]) -> None:
        self._path = quote(path)
        self._kept = {"limit": str(limit)} | {name: text for name, text in options.items() if name not in _NOT_KEPT}
        self._order = {"$orderby": order_text(order)} if order else {}

    def header(self, next_cursor: str | None, prev_cursor: str | None) -> dict[str, str]:
        """Nothing when it would be longer than MAX_BYTES."""
        cursors = {"next": next_cursor, "prev": prev_cursor}
        links = [self._link(relation, {"cursor": cursor}) for relation, cursor in cursors.items() if cursor]
        text = ", ".join([*links, self._link("first", self._order)])
        return {} if len(text) > MAX_BYTES else {"Link": text}

    def _link(self, relation: str, place: Mapping[str, str]) -> str:
        return f'<{self._path}?{urlencode({**self._kept, **place}, safe="$")}>; rel="{relation}"'


def order_text(order: Sequence[OrderKey]) -> str:
    """As `$orderby` names it."""
    return ",".join(f"{key.field.name} {'desc' if key.descending else 'asc'}" for key in order)

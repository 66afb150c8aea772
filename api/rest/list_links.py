"""The Link header of a page (RFC 8288): where a client may go on without building an address itself (api.md 2.6)."""

from collections.abc import Mapping
from urllib.parse import quote, urlencode

_OF_THE_PAGE_ALONE = ("limit", "$top", "cursor", "$orderby")


class PageLinks:
    """Every link repeats the options of the request; a cursor takes the place of `$orderby`."""

    def __init__(self, path: str, options: Mapping[str, str], limit: int) -> None:
        kept = {name: text for name, text in options.items() if name not in _OF_THE_PAGE_ALONE}
        self._path = quote(path)
        self._options = {"limit": str(limit), **kept}

    def header(self, next_cursor: str | None, prev_cursor: str | None) -> dict[str, str]:
        targets = {"next": next_cursor, "prev": prev_cursor}
        links = [self._link(relation, {"cursor": cursor}) for relation, cursor in targets.items() if cursor]
        return {"Link": ", ".join([*links, self._link("first", {})])}

    def _link(self, relation: str, place: Mapping[str, str]) -> str:
        return f'<{self._path}?{urlencode({**self._options, **place}, safe="$")}>; rel="{relation}"'

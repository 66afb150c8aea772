"""The web searches of one answer, each of which begins once and ends once."""

from domain.providers.events import ToolDone, ToolName, ToolStart


class Searches:
    def __init__(self) -> None:
        self._open: dict[str, None] = {}
        self._known: set[str] = set()

    def begin(self, id_: str | None) -> list[ToolStart]:
        key = id_ or f"search {len(self._known)}"
        if key in self._known:
            return []
        self._known.add(key)
        self._open[key] = None
        return [ToolStart(key, ToolName.WEB_SEARCH)]

    def end(self, id_: str | None) -> list[ToolDone]:
        """A result that does not say whose it is belongs to the first search without one."""
        key = id_ or next(iter(self._open), None)
        if key is None or (key in self._known and key not in self._open):
            return []
        self._known.add(key)
        self._open.pop(key, None)
        return [ToolDone(key, ToolName.WEB_SEARCH)]

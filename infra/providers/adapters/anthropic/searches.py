"""The web searches of one answer, each of which begins once and ends once."""

from domain.providers.events import ToolDone, ToolName, ToolStart


class Searches:
    """Of `allowed` searches the remote itself takes care: what it begins beyond them it refuses and goes on.

    So such a search is told only if it was made after all.
    """

    def __init__(self, allowed: int | None) -> None:
        self._allowed = allowed
        self._open: dict[str, bool] = {}  # whether its start was told
        self._known: set[str] = set()

    def begin(self, id_: str | None) -> list[ToolStart]:
        key = id_ or f"search {len(self._known)}"
        if key in self._known:
            return []
        told = self._allowed is None or len(self._known) < self._allowed
        self._known.add(key)
        self._open[key] = told
        return [ToolStart(key, ToolName.WEB_SEARCH)] if told else []

    def end(self, id_: str | None, *, refused: bool) -> list[ToolStart | ToolDone]:
        """A result that does not say whose it is belongs to the first search without one."""
        key = id_ or next(iter(self._open), None)
        if key is None or (key in self._known and key not in self._open):
            return []
        self._known.add(key)
        told = self._open.pop(key, True)
        if not told and refused:
            return []
        done = ToolDone(key, ToolName.WEB_SEARCH)
        return [done] if told else [ToolStart(key, ToolName.WEB_SEARCH), done]

"""Which call of a tool an event speaks of: its item's id says so, or else the order of the events."""

from collections import Counter

from domain.providers.events import ProviderEvent, ToolDone, ToolName, ToolStart


class ToolCalls:
    """Gives each call a key of its own. Without ids calls of one kind follow one another."""

    def __init__(self) -> None:
        self._open: dict[tuple[ToolName, str | None], str] = {}
        self._begun: Counter[str] = Counter()

    def start(self, name: ToolName, item_id: str | None) -> list[ProviderEvent]:
        """Once for each call; what is told after its end opens the next."""
        if (name, item_id) in self._open:
            return []
        item = item_id or name.value
        self._begun[item] += 1
        number = self._begun[item]
        self._open[name, item_id] = item if number == 1 else f"{item}#{number}"
        return [ToolStart(self._open[name, item_id], name)]

    def end(self, name: ToolName, item_id: str | None, details: dict[str, object]) -> list[ProviderEvent]:
        events = self.start(name, item_id)
        return [*events, ToolDone(self._open.pop((name, item_id)), name, details)]

    def may_end(self, name: ToolName, item_id: str | None) -> bool:
        """Whether a finished item ends a call: one that runs, or one that was never heard of."""
        return (name, item_id) in self._open or (item_id is not None and item_id not in self._begun)

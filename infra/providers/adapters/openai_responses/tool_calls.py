"""The remote's tool calls, paired: every start has one end, and every end had its start."""

from collections import Counter
from typing import Final

from domain.providers.events import ProviderEvent, ToolDone, ToolName, ToolStart

_EMPTY: Final[dict[ToolName, dict[str, object]]] = {
    ToolName.FILE_SEARCH: {"files_searched": 0},
    ToolName.WEB_SEARCH: {},
    ToolName.CODE_INTERPRETER: {"output": ""},
    ToolName.FUNCTION_CALL: {},
}


class ToolCalls:
    """A call is known by its item's id, or by its kind where the remote gives none; after its end the next may begin.

    `waiting` names the item of a call that is over but for its details, which the very next frame may bring.
    """

    def __init__(self) -> None:
        self.waiting: str | None = None
        self._open: dict[str, ToolStart] = {}
        self._begun: Counter[str] = Counter()

    def start(self, name: ToolName, item_id: str | None) -> list[ProviderEvent]:
        item = item_id or name.value
        if item in self._open:
            return []
        self._begun[item] += 1
        number = self._begun[item]
        self._open[item] = ToolStart(item if number == 1 else f"{item}#{number}", name)
        return [self._open[item]]

    def end(self, name: ToolName, item_id: str | None, details: dict[str, object]) -> list[ProviderEvent]:
        events = self.start(name, item_id)
        return events + self._close(item_id or name.value, details)

    def await_details(self, name: ToolName, item_id: str | None) -> list[ProviderEvent]:
        events = self.start(name, item_id)
        self.waiting = item_id or name.value
        return events

    def settle(self) -> list[ProviderEvent]:
        """The details did not come."""
        return [] if self.waiting is None else self._close(self.waiting, None)

    def may_end(self, name: ToolName, item_id: str | None) -> bool:
        """Whether a finished item ends a call: one that runs, or one that was never heard of."""
        item = item_id or name.value
        return item in self._open or (item_id is not None and item not in self._begun)

    def close_all(self) -> list[ProviderEvent]:
        return [event for item in list(self._open) for event in self._close(item, None)]

    def _close(self, item: str, details: dict[str, object] | None) -> list[ProviderEvent]:
        if item == self.waiting:
            self.waiting = None
        call = self._open.pop(item)
        return [ToolDone(call.key, call.name, _EMPTY[call.name] if details is None else details)]

"""What an answer tells of tools ends with it, whatever a remote leaves out (providers-and-files.md 1.3)."""

from collections.abc import Iterator, Mapping
from typing import Final

from domain.providers.events import (
    Completed,
    Failed,
    Finish,
    FunctionCall,
    ProviderEvent,
    ToolDone,
    ToolName,
    ToolStart,
)

_CONCERNED: Final = frozenset({ToolStart, ToolDone, FunctionCall, Completed, Failed})
EMPTY_DETAILS: Final[Mapping[ToolName, dict[str, object]]] = {
    ToolName.FILE_SEARCH: {"files_searched": 0},
    ToolName.WEB_SEARCH: {},
    ToolName.CODE_INTERPRETER: {"output": ""},
}
"""Of a tool that is done and told nothing."""


class ToolPairs:
    """One object per answer. A start told twice counts once, a done without a start gets one before it, and a
    start that is open at the end is done there. Calls of functions are handed on there too, if the answer is whole:
    one that was cut, stopped or broken off may have meant to say more.
    """

    __slots__ = ("_calls", "_open")

    def __init__(self) -> None:
        self._open: dict[str, ToolStart] = {}
        self._calls: list[FunctionCall] = []

    def completed(self, batch: list[ProviderEvent]) -> list[ProviderEvent]:
        for event in batch:
            if type(event) in _CONCERNED:
                return [each for one in batch for each in self._completed(one)]
        return batch

    def _completed(self, event: ProviderEvent) -> Iterator[ProviderEvent]:
        if isinstance(event, FunctionCall):
            self._calls.append(event)
            return
        if isinstance(event, ToolStart):
            if event.key in self._open:
                return
            self._open[event.key] = event
        elif isinstance(event, ToolDone):
            if self._open.pop(event.key, None) is None:
                yield ToolStart(event.key, event.name, _start_of(event))
        elif isinstance(event, (Completed, Failed)):
            yield from map(_done_of, self._open.values())
            self._open.clear()
            if isinstance(event, Completed) and event.finish is Finish.STOP:
                yield from self._calls
        yield event


def _start_of(done: ToolDone) -> dict[str, object]:
    """A function is told by name when it starts; of the others nothing is known yet."""
    if done.name is not ToolName.FUNCTION_CALL:
        return {}
    return {"index": 0, **{name: done.details[name] for name in ("call_id", "name") if name in done.details}}


def _done_of(start: ToolStart) -> ToolDone:
    if start.name is not ToolName.FUNCTION_CALL:
        return ToolDone(start.key, start.name, dict(EMPTY_DETAILS[start.name]))
    told = {name: value for name, value in start.details.items() if name != "index"}
    return ToolDone(start.key, start.name, {**told, "arguments": ""})

"""What a model did with tools, from the JSON between its markers to events. Results answer calls in their order."""

import json
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from domain.providers.events import CitationFound, ProviderEvent, ToolDone, ToolName, ToolStart
from infra.providers.adapters.inference_http.markers import Block, BlockKind
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.citations import CitationList, web_citation
from infra.providers.frame_json import Undecodable, repaired_json
from infra.providers.function_call import MOST_CALLS, NumberedCall
from infra.providers.text_repair import repaired

_MAX_NAME_CHARS: Final = 64


class _Call(msgspec.Struct, frozen=True):
    """The server's own search, or a function of its own that it called."""

    call: NumberedCall
    arguments: str

    @property
    def is_search(self) -> bool:
        return self.call.name == ToolName.WEB_SEARCH

    def started(self) -> ToolStart:
        return ToolStart(self.call.key, ToolName.WEB_SEARCH) if self.is_search else self.call.start()

    def done(self) -> ToolDone:
        return ToolDone(self.call.key, ToolName.WEB_SEARCH) if self.is_search else self.call.done(self.arguments)


class ToolCalls:
    """One object per answer. A result that no call waits for gets a call of its own; too many calls are ignored."""

    def __init__(self, anomalies: Anomalies) -> None:
        self._anomalies = anomalies
        self._calls = 0
        self._waiting: deque[_Call] = deque()
        self._citations = CitationList()

    def events(self, block: Block) -> Iterator[ProviderEvent]:
        begins = block.kind is BlockKind.CALL or not self._waiting
        if begins and self._calls == MOST_CALLS:
            self._anomalies[Anomaly.EXCESSIVE_TOOL_CALL] += 1
            return
        value = self._value(block)
        if begins:
            yield self._begin(value if block.kind is BlockKind.CALL else None).started()
        if block.kind is BlockKind.CALL:
            return
        call = self._waiting.popleft()
        yield call.done()
        if call.is_search:
            yield from self._cite(_results(value))

    def _cite(self, results: Iterator[dict[str, object]]) -> Iterator[CitationFound]:
        for result in results:
            if not self._citations.may_look():
                return
            title, snippet, content = result.get("title"), result.get("snippet"), result.get("content")
            yield from self._citations.add(web_citation(result.get("url"), title, snippet, content))

    def _begin(self, value: object) -> _Call:
        members = value if isinstance(value, dict) else {}
        name, arguments = members.get("name"), members.get("arguments")
        shown = repaired(name)[:_MAX_NAME_CHARS] if isinstance(name, str) else ""
        call = _Call(
            NumberedCall(self._calls, shown), arguments="" if arguments is None else repaired(_text_of(arguments))
        )
        self._calls += 1
        self._waiting.append(call)
        return call

    def _value(self, block: Block) -> object:
        """None for what is no JSON."""
        try:
            if block.body is not None:
                return repaired_json(block.body.encode("utf-8", "surrogatepass"), self._anomalies)
        except Undecodable:
            pass
        self._anomalies[Anomaly.BROKEN_MARKER] += 1
        return None


def _text_of(arguments: object) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False, separators=(",", ":"))


def _results(value: object) -> Iterator[dict[str, object]]:
    """The entries of a list, or of the member `results`."""
    entries = value.get("results") if isinstance(value, dict) else value
    if isinstance(entries, list):
        yield from (entry for entry in entries if isinstance(entry, dict))

"""The content blocks of an answer that are open: what they gather comes out when they close."""

from typing import Final, TypeAlias

import msgspec

from domain.providers.events import Citation, CitationFound, FunctionCall, Span, ToolDone, ToolName, ToolStart
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.citations import CitationList, web_citation
from infra.providers.text_repair import TextRepair

MOST_CALLS: Final = 16
_MOST_ARGUMENTS: Final = 64 * 1024  # characters


class TextBlock:
    """A part of the answer that begins at code point `start`, and what it cites."""

    def __init__(self, start: int) -> None:
        self._start = start
        self._cited: list[dict[str, object]] = []

    def cite(self, source: dict[str, object]) -> None:
        self._cited.append(source)

    def close(self, end: int, citations: CitationList) -> list[CitationFound]:
        """All of the block is what its citations stand for."""
        span = Span(start=self._start, end=end) if end > self._start else None
        return [found for source in self._cited for found in citations.add(_citation(source, span))]


class CallBlock:
    """A call of a function of ours, named by its number in the answer, for names of the remote go no further.

    `given` are arguments that came whole with its start.
    """

    def __init__(self, number: int, name: str, given: dict[str, object] | None) -> None:
        self._number = number
        self._key = f"call_{number}"
        self._name = name
        self._given = given
        self._parts: list[str] = []
        self._room = _MOST_ARGUMENTS

    def start(self) -> ToolStart:
        details: dict[str, object] = {"index": self._number, "call_id": self._key, "name": self._name}
        return ToolStart(self._key, ToolName.FUNCTION_CALL, details)

    def add(self, part: str) -> None:
        self._room -= len(part)
        if self._room >= 0:
            self._parts.append(part)

    def close(self, anomalies: Anomalies) -> list[ToolDone | FunctionCall]:
        """The call is done; of one that grew beyond all bounds the engine is not asked."""
        arguments = self._arguments()
        details: dict[str, object] = {"call_id": self._key, "name": self._name, "arguments": arguments}
        done = ToolDone(self._key, ToolName.FUNCTION_CALL, details)
        if self._room < 0:
            anomalies[Anomaly.EXCESSIVE_TOOL_CALL] += 1
            return [done]
        return [done, FunctionCall(key=self._key, name=self._name, arguments=arguments)]

    def _arguments(self) -> str:
        repair = TextRepair()
        said = "".join(map(repair.feed, self._parts)) + repair.flush()
        return said or msgspec.json.encode(self._given or {}).decode()


OpenBlock: TypeAlias = TextBlock | CallBlock


def _citation(source: dict[str, object], span: Span | None) -> Citation | None:
    """Of the sources that the API knows only web pages are ever handed to it by us."""
    if source.get("type") != "web_search_result_location":
        return None
    return web_citation(source.get("url"), source.get("title"), source.get("cited_text"), span=span)

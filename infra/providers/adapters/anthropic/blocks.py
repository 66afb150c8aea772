"""The content blocks of an answer that are open: what they gather comes out when they close."""

from typing import TypeAlias

import msgspec

from domain.providers.events import Citation, CitationFound, FunctionCall, Span, ToolDone, ToolStart
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.citations import CitationList, web_citation
from infra.providers.function_call import MOST_ARGUMENT_CHARS, NumberedCall
from infra.providers.text_repair import TextRepair


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
    """A call of a function of ours. `given` are arguments that came whole with its start."""

    def __init__(self, call: NumberedCall, given: dict[str, object] | None) -> None:
        self._call = call
        self._given = given
        self._parts: list[str] = []
        self._room = MOST_ARGUMENT_CHARS

    def start(self) -> ToolStart:
        return self._call.start()

    def add(self, part: str) -> None:
        self._room -= len(part)
        if self._room >= 0:
            self._parts.append(part)

    def close(self, anomalies: Anomalies) -> list[ToolDone | FunctionCall]:
        """The call is done; of one that grew beyond all bounds the engine is not asked."""
        arguments = self._arguments()
        if self._room < 0:
            anomalies[Anomaly.EXCESSIVE_TOOL_CALL] += 1
            return [self._call.done(arguments)]
        return [self._call.done(arguments), self._call.handed_on(arguments)]

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

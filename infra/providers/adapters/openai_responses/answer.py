"""What an answer says and cites: its text as it is stored, and the citations whose places lie in that text."""

from collections.abc import Iterator, Mapping
from typing import TypeAlias

import msgspec

from domain.providers.events import CitationFound, ProviderEvent, Span, TextDelta
from domain.providers.request import CitedFile
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.citations import CitationList, file_citation, span_of, web_citation
from infra.providers.members import mappings, text
from infra.providers.text_repair import TextRepair

Place: TypeAlias = tuple[int | None, int | None]

_FILE_CITATIONS = {"file_citation", "container_file_citation"}
_MOST_HELD = 100  # citations of text that has not come yet
_MOST_PASSAGE_CHARS = 1_000


class Part(msgspec.Struct, frozen=True):
    text: str
    refused: bool
    annotations: list[dict[str, object]]


class Answer:
    """Each text and each citation comes out once; places are code points of all text that came out."""

    def __init__(self, files: Mapping[str, CitedFile], anomalies: Anomalies) -> None:
        self.refused = False
        self._files = files
        self._anomalies = anomalies
        self._repair = TextRepair()
        self._said = bytearray()  # a fifth of what its pieces would take
        self._length = 0
        self._place: Place | None = None
        self._starts: dict[Place, int] = {}
        self._passages: dict[str, str] = {}
        self._cited = CitationList()
        self._held: list[tuple[dict[str, object], int]] = []

    @property
    def spoke(self) -> bool:
        return self._length > 0

    def say(self, delta: str, place: Place) -> list[ProviderEvent]:
        if place != self._place:
            self._place = place
            self._starts.setdefault(place, self._length)
        return self._out(self._repair.feed(delta))

    def flush(self) -> list[ProviderEvent]:
        """What was held back for a second half that never came, and for text that never came."""
        events = self._out(self._repair.flush())
        for annotation, shift in self._held:
            events += self._cite(annotation, shift)
        self._held = []
        return events

    def remember(self, results: object) -> int:
        """The passages a search found are the snippets of what is cited later; returns of how many files they are."""
        found = [(text(result.get("file_id")), text(result.get("text"))) for result in mappings(results)]
        for file_id, passage in found:
            if file_id in self._files and passage:
                self._passages.setdefault(file_id or "", passage[:_MOST_PASSAGE_CHARS])
        return len({file_id for file_id, _ in found if file_id})

    def annotate(self, annotation: dict[str, object], place: Place) -> list[ProviderEvent]:
        """At once, unless it speaks of text that is still to come."""
        shift = self._starts.get(place, self._length)
        end = annotation.get("end_index")
        if isinstance(end, int) and end > self._length - shift:
            self._held += [(annotation, shift)] if len(self._held) < _MOST_HELD else []
            return []
        return list(self._cite(annotation, shift))

    def conclude(self, output: object) -> list[ProviderEvent]:
        """The whole answer as the end repeats it: what was said stands, and what was not is said now."""
        parts = list(_parts(output))
        self.refused = self.refused or any(part.refused for part in parts)
        for item in mappings(output):
            self.remember(item.get("results"))
        events = [*self._out(self._repair.flush()), *self._agree("".join(part.text for part in parts)), *self.flush()]
        shift = 0
        for part in parts:
            for annotation in part.annotations:
                events += self._cite(annotation, shift)
            shift += len(part.text)
        return events

    def _agree(self, whole: str) -> list[ProviderEvent]:
        if not whole:
            return []
        if not self.spoke:
            return self.say(whole, (None, None))
        repair = TextRepair()
        if repair.feed(whole) + repair.flush() != self._said.decode():
            self._anomalies[Anomaly.TEXT_DIFFERS] += 1
        return []

    def _out(self, said: str) -> list[ProviderEvent]:
        if not said:
            return []
        self._said += said.encode()
        self._length += len(said)
        return [TextDelta(said)]

    def _slice(self, span: Span | None) -> str:
        return "" if span is None else self._said.decode()[span.start : span.end][:_MOST_PASSAGE_CHARS]

    def _cite(self, annotation: dict[str, object], shift: int) -> list[CitationFound]:
        if not self._cited.may_look():
            return []
        span = span_of(annotation.get("start_index"), annotation.get("end_index"), self._length, shift)
        said = self._slice(span)
        kind, quoted = text(annotation.get("type")), annotation.get("text")
        if kind == "url_citation":
            return self._cited.add(
                web_citation(annotation.get("url"), annotation.get("title"), quoted, said, span=span)
            )
        file_id = text(annotation.get("file_id"))
        if kind not in _FILE_CITATIONS or file_id is None:
            return []
        passage = self._passages.get(file_id)
        return self._cited.add(file_citation(self._files.get(file_id), quoted, passage, said, span=span))


def _parts(output: object) -> Iterator[Part]:
    for item in mappings(output):
        if item.get("type", "message") == "message":
            yield from map(_part, mappings(item.get("content")))


def _part(members: dict[str, object]) -> Part:
    refusal = text(members.get("refusal"))
    return Part(
        text=refusal or text(members.get("text")) or "",
        refused=bool(refusal),
        annotations=mappings(members.get("annotations")),
    )

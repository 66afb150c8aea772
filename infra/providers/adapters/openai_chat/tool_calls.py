"""Calls of functions, put together from the pieces in which they come (providers-and-files.md 2.3)."""

from domain.providers.events import ProviderEvent, ToolStart
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.function_call import MOST_ARGUMENT_CHARS, MOST_CALLS, NumberedCall
from infra.providers.members import mapping, text
from infra.providers.text_repair import TextRepair


class ToolCalls:
    """The calls of one answer. What nobody offered and what is beyond the limits is ignored and counted."""

    def __init__(self, offered: frozenset[str], anomalies: Anomalies) -> None:
        self._offered = offered
        self._anomalies = anomalies
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._closed = False

    def feed(self, pieces: list[object]) -> list[ToolStart]:
        """Says that a call has begun once its name is known."""
        starts: list[ToolStart] = []
        for place, piece in enumerate(pieces):
            if isinstance(piece, dict) and not self._closed:
                self._take(piece, place, starts)
        return starts

    def close(self) -> list[ProviderEvent]:
        """Each call that has begun is done. Nothing is taken after that."""
        events: list[ProviderEvent] = []
        for call in [] if self._closed else self._calls:
            if call.has_begun:
                events += call.done()
        self._closed = True
        return events

    def _take(self, piece: dict[str, object], place: int, starts: list[ToolStart]) -> None:
        function = mapping(piece.get("function"))
        name, arguments = text(function.get("name")) or "", text(function.get("arguments")) or ""
        call = self._call(piece, place, name)
        if call is None or not self._add(call, arguments):
            self._anomalies[Anomaly.EXCESSIVE_TOOL_CALL] += 1
        if call is None or not name or call.name:
            return
        call.name = name
        call.has_begun = name in self._offered
        if call.has_begun:
            starts.append(call.start())
        else:
            self._anomalies[Anomaly.UNOFFERED_TOOL_CALL] += 1

    def _call(self, piece: dict[str, object], place: int, name: str) -> "_Call | None":
        """Some servers leave the index out, or give every call the same; a name under a new id is another call."""
        index, remote_id = piece.get("index"), text(piece.get("id")) or ""
        index = index if isinstance(index, int) else place
        call = self._by_index.get(index)
        if call is not None and not (name and remote_id and remote_id != call.remote_id):
            return call
        if len(self._calls) == MOST_CALLS:
            return None
        call = _Call(len(self._calls), remote_id)
        self._calls.append(call)
        self._by_index[index] = call
        return call

    def _add(self, call: "_Call", part: str) -> bool:
        """Whether there was room. A cut call is never whole, so it takes no more."""
        call.room -= len(part)
        if call.room >= 0:
            call.arguments.append(call.repair.feed(part))
        return call.room >= 0


class _Call:
    __slots__ = ("arguments", "has_begun", "name", "position", "remote_id", "repair", "room")

    def __init__(self, position: int, remote_id: str) -> None:
        self.position = position
        self.remote_id = remote_id
        self.name = ""
        self.has_begun = False
        self.arguments: list[str] = []
        self.room = MOST_ARGUMENT_CHARS
        self.repair = TextRepair()

    def start(self) -> ToolStart:
        return NumberedCall(self.position, self.name).start()

    def done(self) -> list[ProviderEvent]:
        call = NumberedCall(self.position, self.name)
        arguments = "".join(self.arguments) + self.repair.flush()
        return [call.done(arguments), call.handed_on(arguments)] if self.room >= 0 else [call.done(arguments)]

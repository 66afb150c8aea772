"""Calls of functions, put together from the pieces in which they come (providers-and-files.md 2.3)."""

from domain.providers.events import FunctionCall, ProviderEvent, ToolDone, ToolName, ToolStart
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.text_repair import TextRepair

MOST_CALLS = 16
MOST_ARGUMENT_BYTES = 64 * 1024


class ToolCalls:
    """The calls of one answer, named by their number in it, for names of the remote go no further.

    What nobody offered and what is beyond the limits is ignored and counted.
    """

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

    def close(self, *, are_whole: bool) -> list[ProviderEvent]:
        """Each call that has begun is done; only of a whole one the engine is asked. Nothing is taken after that."""
        events: list[ProviderEvent] = []
        for call in [] if self._closed else self._calls:
            if call.has_begun:
                events += call.done(is_whole=are_whole)
        self._closed = True
        return events

    def _take(self, piece: dict[str, object], place: int, starts: list[ToolStart]) -> None:
        function = piece.get("function")
        members = function if isinstance(function, dict) else {}
        name, text = _text(members.get("name")), _text(members.get("arguments"))
        call = self._call(piece, place, name)
        if call is None or not self._add(call, text):
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
        index, remote_id = piece.get("index"), _text(piece.get("id"))
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

    def _add(self, call: "_Call", text: str) -> bool:
        """Whether there was room. A cut call is never whole, so it takes no more."""
        call.size_bytes += len(text.encode(errors="surrogatepass"))
        if call.size_bytes <= MOST_ARGUMENT_BYTES:
            call.arguments.append(call.repair.feed(text))
        return call.size_bytes <= MOST_ARGUMENT_BYTES


class _Call:
    __slots__ = ("arguments", "has_begun", "key", "name", "position", "remote_id", "repair", "size_bytes")

    def __init__(self, position: int, remote_id: str) -> None:
        self.position = position
        self.remote_id = remote_id
        self.key = f"call_{position}"
        self.name = ""
        self.has_begun = False
        self.arguments: list[str] = []
        self.size_bytes = 0
        self.repair = TextRepair()

    def start(self) -> ToolStart:
        details: dict[str, object] = {"index": self.position, "call_id": self.key, "name": self.name}
        return ToolStart(self.key, ToolName.FUNCTION_CALL, details)

    def done(self, *, is_whole: bool) -> list[ProviderEvent]:
        arguments = "".join(self.arguments) + self.repair.flush()
        details: dict[str, object] = {"call_id": self.key, "name": self.name, "arguments": arguments}
        events: list[ProviderEvent] = [ToolDone(self.key, ToolName.FUNCTION_CALL, details)]
        if is_whole and self.size_bytes <= MOST_ARGUMENT_BYTES:
            events.append(FunctionCall(key=self.key, name=self.name, arguments=arguments))
        return events


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""

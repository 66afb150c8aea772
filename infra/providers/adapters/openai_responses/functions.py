"""Calls of the functions that a request offered, gathered from their pieces."""

from collections.abc import Iterable

from domain.providers.events import FunctionCall, ProviderEvent, ToolDone, ToolName, ToolStart
from infra.providers.adapters.openai_responses.event import text
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.remote_name import remote_name
from infra.providers.text_repair import TextRepair

_MOST_CALLS = 16
_MOST_ARGUMENT_CHARS = 64 * 1024


class FunctionCalls:
    """Each call comes out once, as a client sees it without the remote's ids, and as the engine gets it.

    What nobody offered and what is beyond the limits is ignored and counted.
    """

    def __init__(self, offered: Iterable[str], anomalies: Anomalies) -> None:
        self._offered = frozenset(offered)
        self._anomalies = anomalies
        self._gathered: dict[str, str] = {}
        self._told: set[str] = set()

    def gather(self, item_id: str | None, delta: str | None) -> None:
        if item_id is None or not delta or (item_id not in self._gathered and len(self._gathered) == _MOST_CALLS):
            return
        so_far = self._gathered.get(item_id, "")
        if len(so_far) <= _MOST_ARGUMENT_CHARS:
            self._gathered[item_id] = so_far + delta

    def complete(self, item: dict[str, object]) -> list[ProviderEvent]:
        item_id, name = remote_name(item.get("id")), text(item.get("name"))
        key = remote_name(item.get("call_id")) or item_id or f"call_{len(self._told) + 1}"
        if key in self._told:
            return []
        arguments = text(item.get("arguments")) or self._gathered.get(item_id or "", "")
        if name is None or name not in self._offered:
            self._anomalies[Anomaly.UNOFFERED_TOOL_CALL] += 1
            return []
        if len(self._told) == _MOST_CALLS or len(arguments) > _MOST_ARGUMENT_CHARS:
            self._anomalies[Anomaly.EXCESSIVE_TOOL_CALL] += 1
            return []
        self._told.add(key)
        repair = TextRepair()
        repaired = repair.feed(arguments) + repair.flush()
        return _told(FunctionCall(key=key, name=name, arguments=repaired), len(self._told))


def _told(call: FunctionCall, number: int) -> list[ProviderEvent]:
    shown: dict[str, object] = {"call_id": f"call_{number}", "name": call.name}
    return [
        ToolStart(call.key, ToolName.FUNCTION_CALL, {"index": number - 1, **shown}),
        ToolDone(call.key, ToolName.FUNCTION_CALL, {**shown, "arguments": call.arguments}),
        call,
    ]

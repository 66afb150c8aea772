"""Calls of the functions that a request offered, gathered from their pieces."""

from collections.abc import Iterable

from domain.providers.events import ProviderEvent
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.function_call import MOST_ARGUMENT_CHARS, MOST_CALLS, NumberedCall
from infra.providers.members import text
from infra.providers.remote_name import remote_name
from infra.providers.text_repair import repaired


class FunctionCalls:
    """Each call comes out once. What nobody offered and what is beyond the limits is ignored and counted."""

    def __init__(self, offered: Iterable[str], anomalies: Anomalies) -> None:
        self._offered = frozenset(offered)
        self._anomalies = anomalies
        self._gathered: dict[str, str] = {}
        self._calls = 0
        self._known: set[str] = set()

    def gather(self, item_id: str | None, delta: str | None) -> None:
        if item_id is None or not delta or (item_id not in self._gathered and len(self._gathered) == MOST_CALLS):
            return
        so_far = self._gathered.get(item_id, "")
        if len(so_far) <= MOST_ARGUMENT_CHARS:
            self._gathered[item_id] = so_far + delta

    def complete(self, item: dict[str, object]) -> list[ProviderEvent]:
        item_id, name = remote_name(item.get("id")), text(item.get("name"))
        told_as = remote_name(item.get("call_id")) or item_id
        if told_as in self._known:
            return []
        arguments = text(item.get("arguments")) or self._gathered.get(item_id or "", "")
        if name is None or name not in self._offered:
            self._anomalies[Anomaly.UNOFFERED_TOOL_CALL] += 1
            return []
        if self._calls == MOST_CALLS or len(arguments) > MOST_ARGUMENT_CHARS:
            self._anomalies[Anomaly.EXCESSIVE_TOOL_CALL] += 1
            return []
        self._known |= {told_as} if told_as else set()
        return self._told(name, repaired(arguments))

    def _told(self, name: str, arguments: str) -> list[ProviderEvent]:
        call = NumberedCall(self._calls, name)
        self._calls += 1
        return [call.start(), call.done(arguments), call.handed_on(arguments)]

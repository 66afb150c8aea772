"""The port Events over tables in memory."""

import msgspec
from anyio.lowlevel import checkpoint

from domain.audit.events import NewEvent, OutgoingEvent, Stream
from domain.ids import EventId
from domain.unit_of_work import LostRace
from tests.fakes.tables import View


class MemoryEvents:
    def __init__(self, view: View) -> None:
        self._view = view

    async def add(self, *events: NewEvent) -> None:
        await checkpoint()
        for event in events:
            if any(_is_same(event, other) for other in self._view.tables.events.values()):
                raise LostRace(f"ux_{event.stream}_events_dedupe_key")
            self._view.insert(self._view.tables.events, event.id, event, f"{event.stream}_events_pkey")

    async def find(self, stream: Stream, event_id: EventId) -> OutgoingEvent | None:
        await checkpoint()
        event = self._view.tables.events.get(event_id)
        if event is None or event.stream is not stream:
            return None
        return OutgoingEvent(
            id=event.id,
            stream=event.stream,
            tenant_id=self._view.scope.tenant_id,
            event_type=event.event_type.value,
            dedupe_key=event.dedupe_key,
            body=msgspec.json.encode(event.body),
        )


def _is_same(one: NewEvent, other: NewEvent) -> bool:
    return one.stream is other.stream and one.dedupe_key == other.dedupe_key

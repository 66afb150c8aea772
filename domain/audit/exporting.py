"""Hands stored events to whoever keeps the books outside, one job for each (engine.md 9)."""

from collections.abc import Mapping
from uuid import UUID

from domain.audit.events import Stream
from domain.audit.ports import Consumer, EventTx
from domain.ids import EventId, TenantId, UserId
from domain.jobs.retries import JobFailed
from domain.scope import AccessScope
from domain.unit_of_work import Access, UnitOfWork

_NOBODY = UserId(UUID(int=0))


class Exporting:
    def __init__(self, begin: UnitOfWork[EventTx], consumers: Mapping[Stream, Consumer]) -> None:
        self._begin = begin
        self._consumers = consumers

    async def export(self, stream: Stream, tenant_id: TenantId, event_id: EventId) -> None:
        """Nothing is left to do for an event that has expired. Raises JobFailed, also where the sink is gone."""
        consumer = self._consumers.get(stream)
        if consumer is None:
            raise JobFailed("sink_missing", permanent=True)
        async with self._begin(AccessScope(tenant_id=tenant_id, user_id=_NOBODY), Access.READ) as tx:
            event = await tx.events.find(stream, event_id)
        if event is not None:
            await consumer.deliver(event)

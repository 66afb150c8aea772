"""Where events are kept, and where they go."""

from typing import Protocol

from domain.audit.events import NewEvent, OutgoingEvent, Stream
from domain.ids import EventId


class Events(Protocol):
    """The events of the scope's tenant, as one transaction sees them."""

    async def add(self, *events: NewEvent) -> None:
        """Kept if the transaction commits; then also handed to a job, where the stream has a sink."""
        ...

    async def find(self, stream: Stream, event_id: EventId) -> OutgoingEvent | None:
        """None once it has expired."""
        ...


class EventTx(Protocol):
    @property
    def events(self) -> Events: ...


class Consumer(Protocol):
    async def deliver(self, event: OutgoingEvent) -> None:
        """Returns when the other side has it for good. The same event may come again.

        Raises JobFailed: permanent where no repetition can help, else worth another attempt.
        """
        ...

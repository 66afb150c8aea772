"""A consumer that keeps what it is given, and may be out of order."""

from anyio.lowlevel import checkpoint
from typing_extensions import override

from domain.audit.events import OutgoingEvent
from domain.audit.ports import Consumer
from domain.jobs.retries import JobFailed


class MemoryConsumer(Consumer):
    def __init__(self) -> None:
        self.events: list[OutgoingEvent] = []
        self.hindrance: JobFailed | None = None

    @override
    async def deliver(self, event: OutgoingEvent) -> None:
        await checkpoint()
        if self.hindrance is not None:
            raise self.hindrance
        self.events.append(event)

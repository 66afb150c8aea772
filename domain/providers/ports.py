"""What the engine asks of a model provider."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from enum import Enum
from typing import Protocol

from domain.providers.capabilities import Capabilities
from domain.providers.events import ProviderEvent
from domain.providers.request import ProviderRequest


class CallState(Enum):
    NOT_SENT = "not_sent"
    SENDING = "sending"
    SENT = "sent"
    RESPONDED = "responded"
    ENDED = "ended"


class CallControl:
    """One call's facts, written by the driver and read by the engine; and the engine's word to stop.

    `called` holds from the moment the first request byte may have left: from then on the call costs money.
    `closed_at` is the clock's `monotonic()` at which the upstream connection was given up, if it was open.
    """

    __slots__ = ("cancelled", "closed_at", "state")

    def __init__(self) -> None:
        self.state = CallState.NOT_SENT
        self.cancelled = False
        self.closed_at: float | None = None

    @property
    def called(self) -> bool:
        return self.state is not CallState.NOT_SENT


class Provider(Protocol):
    @property
    def capabilities(self) -> Capabilities: ...

    def stream(
        self, request: ProviderRequest, control: CallControl
    ) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ProviderEvent]]]:
        """Yields non-empty batches of what arrived together; the last event of the last batch is the terminal.

        Nothing a remote does raises: it ends with Failed. An exception is a cancellation or our own bug.
        Leaving the block, by cancellation too, aborts the connection and leaves no task, timer or socket;
        a response not read to its end is never reused. No event follows once `control.cancelled` is set.
        """
        ...


class Providers(Protocol):
    def for_provider(self, provider_id: str) -> Provider:
        """The configured provider; a catalogue that names an unknown one is refused at start."""
        ...

    def closed_for(self, provider_id: str) -> timedelta | None:
        """After how long its calls may get through again; None while they do."""
        ...

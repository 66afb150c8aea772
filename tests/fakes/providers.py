"""A model played by a function: an ordinary adapter whose remote is the test."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from domain.providers.capabilities import Capabilities
from domain.providers.events import Completed, Finish, ProviderEvent, TextDelta, Usage
from domain.providers.ports import CallControl, CallState, Provider
from domain.providers.request import ProviderRequest

Play = Callable[[ProviderRequest], AsyncIterator[Sequence[ProviderEvent]]]


class FunctionProvider:
    """Counts calls and closes, and keeps the requests it was given."""

    def __init__(self, play: Play, capabilities: Capabilities | None = None) -> None:
        self.capabilities = capabilities or Capabilities()
        self._play = play
        self.requests: list[ProviderRequest] = []
        self.closed = 0

    @asynccontextmanager
    async def stream(
        self, request: ProviderRequest, control: CallControl
    ) -> AsyncIterator[AsyncIterator[Sequence[ProviderEvent]]]:
        self.requests.append(request)
        control.state = CallState.SENT
        batches = self._play(request)
        try:
            yield batches
        finally:
            self.closed += 1
            control.state = CallState.ENDED
            control.closed_at = time.monotonic()


class OneProvider:
    """Fills the port Providers with a single provider for every name; `closed` are those that take no calls now."""

    def __init__(self, provider: Provider, closed: Mapping[str, timedelta] | None = None) -> None:
        self._provider = provider
        self._closed = closed or {}

    def for_provider(self, provider_id: str) -> Provider:
        return self._provider

    def closed_for(self, provider_id: str) -> timedelta | None:
        return self._closed.get(provider_id)


def saying(*pieces: str, gate: Callable[[], Awaitable[object]] | None = None) -> Play:
    """Says each piece as a batch of its own, waiting at the gate before each, and completes with usage."""

    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        for piece in pieces:
            if gate is not None:
                await gate()
            yield [TextDelta(piece)]
        yield [Completed(finish=Finish.STOP, usage=Usage(input_tokens=11, output_tokens=len(pieces)))]

    return play

"""Calls to a provider with everything a test does not care about."""

import msgspec

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, ProviderEvent, TextDelta
from domain.providers.ports import CallControl, Provider
from domain.providers.request import ProviderRequest, Purpose, UserText

PLAIN = ProviderRequest(
    purpose=Purpose.CHAT,
    model="mock",
    catalog_model="mock",
    instructions="Be kind.",
    items=(UserText("Hello there"),),
    max_output_tokens=1_000,
)


def request_for(model: str, **changes: object) -> ProviderRequest:
    return msgspec.structs.replace(PLAIN, model=model, **changes)


async def collected(
    provider: Provider, request: ProviderRequest, control: CallControl | None = None
) -> list[ProviderEvent]:
    """All events of one call, with the promises checked that every call must keep."""
    events: list[ProviderEvent] = []
    async with provider.stream(request, control or CallControl()) as batches:
        async for batch in batches:
            assert batch
            events += batch
    terminals = [event for event in events if isinstance(event, (Completed, Failed))]
    assert terminals == events[-1:]
    return events


def said(events: list[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


def failure(events: list[ProviderEvent]) -> ProviderFailure:
    terminal = events[-1]
    assert isinstance(terminal, Failed), terminal
    return terminal.failure


def failure_kind(events: list[ProviderEvent]) -> FailureKind:
    return failure(events).kind

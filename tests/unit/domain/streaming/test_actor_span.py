"""What the span of a provider call says of the answer."""

from collections.abc import AsyncIterator, Sequence

import pytest
from typing_extensions import override

from domain.providers.events import Completed, Finish, ProviderEvent
from domain.providers.request import ProviderRequest
from domain.telemetry.ports import SilentSpan, SilentTelemetry, SpanName
from domain.telemetry.trace_context import TraceContext
from tests.fakes.providers import FunctionProvider
from tests.unit.domain.streaming.one_turn import OneTurn


class NotingTelemetry(SilentTelemetry):
    def __init__(self) -> None:
        self.noted: dict[str, object] = {}

    @override
    def span(self, name: SpanName, trace: TraceContext, **attributes: str | float) -> SilentSpan:
        noted = self.noted

        class Span(SilentSpan):
            @override
            def note(self, **attributes: str | float) -> None:
                noted.update(attributes)

        return Span(trace)


@pytest.mark.parametrize(
    ("terminal", "noted"),
    [
        (
            Completed(finish=Finish.STOP, remote_id="resp_1", remote_model="gpt-x"),
            {"gen_ai__response__id": "resp_1", "gen_ai__response__model": "gpt-x"},
        ),
        (Completed(finish=Finish.STOP), {}),
    ],
)
async def test_it_names_what_the_provider_calls_its_answer(terminal: Completed, noted: dict[str, object]) -> None:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [terminal]

    turn, telemetry = OneTurn(FunctionProvider(play)), NotingTelemetry()
    turn.actor._telemetry = telemetry
    await turn.run()
    assert telemetry.noted == noted

import subprocess
import sys
from datetime import timedelta

from domain.telemetry.ports import Counted, SilentTelemetry, SpanName
from domain.telemetry.trace_context import new_trace
from infra.telemetry.tracing import exporting, telemetry_for


async def test_without_an_endpoint_nothing_is_recorded_and_the_trace_goes_on() -> None:
    telemetry, trace = telemetry_for(None, "mini-chat", timedelta(seconds=1)), new_trace()
    assert isinstance(telemetry, SilentTelemetry)
    async with exporting(telemetry):
        telemetry.count(Counted.LOST_RACE)
        with telemetry.span(SpanName.SEND, trace, chat_id="c") as span:
            span.note(gen_ai__request__model="m")
            span.failed("x")
            assert span.trace == trace


def test_who_exports_nothing_does_not_pay_for_opentelemetry() -> None:
    program = (
        "import sys; from infra.telemetry.tracing import telemetry_for as t; t(None, '', None); print(*sys.modules)"
    )
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)  # noqa: S603 - our own words
    assert "infra.telemetry.tracing" in answer.stdout
    assert "opentelemetry" not in answer.stdout

"""One event of each kind."""

from collections.abc import Sequence

from domain.providers.events import Citation
from domain.streaming.channel import Reader
from domain.streaming.events import (
    Citations,
    Delta,
    Done,
    Numbered,
    StreamEvent,
    StreamStarted,
    Timing,
    TokenUsage,
    Tool,
    TurnError,
)

STARTED = StreamStarted(request_id="r", message_id="m", is_new_turn=True)
DELTA = Delta("text", "a")
TOOL = Tool(phase="start", name="web_search", details={})
CITATIONS = Citations((Citation(source="web", title="Tides", snippet="High water."),))
DONE = Done(
    usage=TokenUsage(input_tokens=1, output_tokens=1),
    effective_model="m",
    selected_model="m",
    quota_decision="allow",
    quota_warnings=(),
    finish_reason="stop",
    timing=Timing(ttft_ms=1, total_ms=2),
)
ERROR = TurnError(code="internal_error", message="Something went wrong on our side.", retryable=True, trace_id="0" * 32)

EVENTS: tuple[StreamEvent, ...] = (STARTED, DELTA, TOOL, CITATIONS, DONE, ERROR)


async def read_all(reader: Reader) -> list[Numbered]:
    events: list[Numbered] = []
    while not reader.ended:
        events.extend(await reader.receive())
    return events


def numbers(events: Sequence[Numbered]) -> list[int]:
    return [number for number, _ in events]

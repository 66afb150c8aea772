"""A remote tool that runs: between its start and its end the deadline of a tool stands in for that between tokens."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import msgspec
import pytest

from domain.clock import SystemClock
from domain.providers.capabilities import Capabilities
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, TextDelta, ToolDone, ToolName, ToolStart
from domain.providers.ports import CallControl
from domain.providers.request import Deadlines, ProviderRequest
from infra.providers.adapter import HttpCall
from infra.providers.anomalies import Anomalies
from infra.providers.driver import HttpProvider, ResponseLimits
from infra.providers.http_pool import HttpPool
from infra.providers.sse_decoder import Frame
from tests.harness.provider_calls import collected, failure, request_for
from tests.harness.upstream import Action, Step, Upstream, frame, sse

IDLE_S, TOOL_S = 0.08, 0.4
DEADLINES = Deadlines(idle=timedelta(seconds=IDLE_S), tool_idle=timedelta(seconds=TOOL_S))
PING = b": ping\n\n"


class ToolTranslator:
    """Speaks `{"start": key}`, `{"done": key}`, `{"text": "…"}` and `{"end": true}`."""

    finished = False

    def on_frame(self, frame: Frame) -> list[ProviderEvent]:
        match msgspec.json.decode(frame.data):
            case {"start": key}:
                return [ToolStart(key, ToolName.WEB_SEARCH)]
            case {"done": key}:
                return [ToolDone(key, ToolName.WEB_SEARCH)]
            case {"text": said}:
                return [TextDelta(said)]
        return [Completed(finish=Finish.STOP)]

    def on_eof(self) -> list[ProviderEvent]:
        return self.on_failure(ProviderFailure(kind=FailureKind.INTERRUPTED))

    def on_failure(self, failure: ProviderFailure) -> list[ProviderEvent]:
        return [Failed(failure=failure)]


class ToolAdapter:
    capabilities = Capabilities()

    def __init__(self, url: str) -> None:
        self._url = url

    def encode(self, request: ProviderRequest) -> HttpCall:
        return HttpCall(url=self._url, headers={}, body=b"{}")

    def translator(self, request: ProviderRequest, anomalies: Anomalies) -> ToolTranslator:
        return ToolTranslator()


@asynccontextmanager
async def remote(*steps: Step) -> AsyncIterator[HttpProvider]:
    pool = HttpPool(connections=2, allow_private_network=True)
    async with Upstream() as upstream:
        upstream.reply(sse(*steps))
        pool.open()
        try:
            yield HttpProvider(pool, ToolAdapter(upstream.url), SystemClock(), ResponseLimits())
        finally:
            await pool.close()


def start(key: str) -> bytes:
    return frame({"start": key})


def done(key: str) -> bytes:
    return frame({"done": key})


END = frame({"end": True})
TEXT = frame({"text": "a"})


@pytest.mark.parametrize(
    "steps",
    [
        [start("one"), 3 * IDLE_S, done("one"), TEXT, END],
        [TEXT, start("one"), start("one"), TEXT, 3 * IDLE_S, done("one"), END],
        [start("one"), 0.7 * TOOL_S, start("two"), done("one"), 0.7 * TOOL_S, done("two"), END],
    ],
    ids=["longer than a pause between tokens", "amid text", "two that overlap"],
)
async def test_a_tool_may_be_silent_for_longer_than_a_model(steps: list[Step]) -> None:
    async with remote(*steps) as provider:
        with anyio.fail_after(5):
            events = await collected(provider, request_for("gpt", deadlines=DEADLINES))
    assert events[-1] == Completed(finish=Finish.STOP)


@pytest.mark.parametrize(
    ("steps", "phase"),
    [
        ([start("one"), Action.HANG], "tool_idle"),
        ([start("one"), *[PING, TEXT, 0.02] * 50, Action.HANG], "tool_idle"),
        ([start("one"), 0.02, start("two"), 0.02, done("two"), Action.HANG], "tool_idle"),
        ([start("one"), done("one"), Action.HANG], "idle"),
        ([done("never began"), Action.HANG], "idle"),
    ],
    ids=["silent", "text does not prolong it", "nor does another tool", "ended", "never begun"],
)
async def test_a_tool_that_does_not_end_in_time_ends_the_call(steps: list[Step], phase: str) -> None:
    async with remote(*steps) as provider:
        started = anyio.current_time()
        with anyio.fail_after(5):
            events = await collected(provider, request_for("gpt", deadlines=DEADLINES))
        took_s = anyio.current_time() - started
    assert (failure(events).kind, failure(events).detail) == (FailureKind.TIMEOUT, f"{phase} deadline")
    assert took_s >= (TOOL_S if phase == "tool_idle" else IDLE_S)


async def test_a_reader_that_is_busy_for_too_long_does_not_time_a_tool_out() -> None:
    """Its end lies in the socket all the while: a slow client must not make it look late."""
    events: list[ProviderEvent] = []
    async with remote(TEXT, start("one"), 0.05, done("one"), TEXT, END) as provider:
        request = request_for("gpt", deadlines=DEADLINES)
        with anyio.fail_after(5):
            async with provider.stream(request, CallControl()) as batches:
                async for batch in batches:
                    events += batch
                    if any(isinstance(event, ToolStart) for event in batch):
                        await anyio.sleep(1.5 * TOOL_S)
    assert events[-1] == Completed(finish=Finish.STOP)

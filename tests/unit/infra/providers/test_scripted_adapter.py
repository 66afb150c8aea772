from datetime import timedelta

import anyio

from domain.clock import SystemClock
from domain.providers.errors import FailureKind
from domain.providers.events import Completed, ProviderEvent, ToolStart
from domain.providers.ports import CallControl
from domain.providers.request import Deadlines
from infra.providers.adapters.scripted.adapter import ScriptedProvider
from tests.harness.provider_calls import collected, failure, failure_kind, request_for

MOCK = ScriptedProvider(SystemClock(), seed=1)


async def test_a_tool_that_takes_too_long_is_a_timeout() -> None:
    deadlines = Deadlines(tool_idle=timedelta(milliseconds=20))
    events = await collected(MOCK, request_for("mock-tool1-itl5000", deadlines=deadlines))
    assert isinstance(events[-2], ToolStart)
    assert failure(events).kind is FailureKind.TIMEOUT
    assert failure(events).detail == "tool_idle deadline"


async def test_a_name_outside_the_grammar_is_rejected_without_raising() -> None:
    assert failure_kind(await collected(MOCK, request_for("gpt-4"))) is FailureKind.REJECTED


async def test_a_long_answer_without_pauses_lets_others_run() -> None:
    ticks = 0
    events: list[ProviderEvent] = []

    async def tick() -> None:
        nonlocal ticks
        while True:
            ticks += 1
            await anyio.sleep(0)  # noqa: ASYNC115  a neighbour that wants every turn it can get

    async with anyio.create_task_group() as group:
        group.start_soon(tick)
        events += await collected(MOCK, request_for("mock-len20000", max_output_tokens=20_000))
        group.cancel_scope.cancel()
    assert isinstance(events[-1], Completed)
    assert ticks > 200


async def test_equal_calls_are_equal_over_the_port_as_well() -> None:
    request = request_for("mock-len40")
    assert await collected(MOCK, request) == await collected(MOCK, request, CallControl())

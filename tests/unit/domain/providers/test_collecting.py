"""A stream, collected into one answer (providers-and-files.md 1.1)."""

import time
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import anyio
import pytest

from domain.providers.collecting import MOST_TEXT_BYTES, ProviderResult, complete
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Accepted,
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
    Usage,
    UsageReport,
)
from domain.providers.request import ProviderRequest, Purpose, UserText
from tests.fakes.providers import FunctionProvider, Play

REQUEST = ProviderRequest(
    purpose=Purpose.TITLE,
    model="remote",
    catalog_model="test-model",
    instructions=None,
    items=(UserText("Hello"),),
    max_output_tokens=24,
)
LONG = timedelta(seconds=5)
USAGE, LATER_USAGE = Usage(input_tokens=3, output_tokens=1), Usage(input_tokens=3, output_tokens=2)
REFUSED = ProviderFailure(kind=FailureKind.AUTH, detail="redacted")


def playing(*batches: Sequence[ProviderEvent]) -> Play:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        for batch in batches:
            yield batch

    return play


async def collected(*batches: Sequence[ProviderEvent]) -> ProviderResult:
    provider = FunctionProvider(playing(*batches))
    result = await complete(provider, REQUEST, LONG)
    assert provider.closed == 1
    return result


async def test_the_pieces_of_an_answer_are_one_text() -> None:
    result = await collected(
        [Accepted(200), TextDelta("Ti"), ReasoningDelta("hm")],
        [ToolStart("1", ToolName.WEB_SEARCH), ToolDone("1", ToolName.WEB_SEARCH)],
        [TextDelta("des"), UsageReport(USAGE), Completed(finish=Finish.STOP, usage=LATER_USAGE)],
    )
    assert result == ProviderResult(text="Tides", end=Finish.STOP, usage=LATER_USAGE, called=True, generated_bytes=7)


async def test_a_report_counts_where_the_end_brings_none() -> None:
    result = await collected([TextDelta("a"), UsageReport(USAGE), Completed(finish=Finish.LENGTH)])
    assert (result.end, result.usage) == (Finish.LENGTH, USAGE)


@pytest.mark.parametrize("end", [Completed(finish=Finish.STOP, usage=Usage(output_tokens=9)), Failed(failure=REFUSED)])
async def test_counts_that_came_apart_are_put_together_as_for_a_turn(end: Completed | Failed) -> None:
    apart = [UsageReport(Usage(input_tokens=3)), UsageReport(Usage(output_tokens=9)), UsageReport(Usage())]
    result = await collected(apart, [end])
    assert result.usage == Usage(input_tokens=3, output_tokens=9)


async def test_a_failure_keeps_what_was_said_and_used() -> None:
    result = await collected([TextDelta("half"), UsageReport(USAGE)], [Failed(failure=REFUSED)])
    assert (result.text, result.end, result.usage) == ("half", REFUSED, USAGE)


async def test_nothing_after_the_end_counts() -> None:
    result = await collected([Completed(finish=Finish.STOP), TextDelta("late")], [TextDelta("later")])
    assert (result.text, result.end) == ("", Finish.STOP)


async def test_a_stream_without_an_end_is_broken_off() -> None:
    result = await collected([TextDelta("half")])
    assert isinstance(result.end, ProviderFailure)
    assert result.end.kind is FailureKind.INTERRUPTED


async def test_who_never_stops_talking_is_cut_off() -> None:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        while True:
            yield [TextDelta("é" * 1000)]

    provider = FunctionProvider(play)
    result = await complete(provider, REQUEST, LONG)
    assert (result.end, provider.closed) == (Finish.LENGTH, 1)
    assert MOST_TEXT_BYTES <= len(result.text.encode()) < MOST_TEXT_BYTES + 2000


async def test_who_is_silent_is_left_at_the_deadline() -> None:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("half")]
        await anyio.sleep_forever()

    provider, started = FunctionProvider(play), time.monotonic()
    result = await complete(provider, REQUEST, timedelta(milliseconds=50))
    assert isinstance(result.end, ProviderFailure)
    assert (result.end.kind, result.text, result.called, provider.closed) == (FailureKind.TIMEOUT, "half", True, 1)
    assert time.monotonic() - started < 2


async def test_a_cancelled_call_is_given_up_and_not_answered() -> None:
    talking = anyio.Event()

    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        talking.set()
        await anyio.sleep_forever()
        yield []

    provider = FunctionProvider(play)
    async with anyio.create_task_group() as group:
        group.start_soon(complete, provider, REQUEST, LONG)
        await talking.wait()
        group.cancel_scope.cancel()
    assert provider.closed == 1


async def test_a_bug_of_an_adapter_is_not_taken_for_an_answer() -> None:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("half")]
        raise LookupError

    with pytest.raises(LookupError):
        await complete(FunctionProvider(play), REQUEST, LONG)

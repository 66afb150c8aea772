"""A turn whose model does not take its call goes over to another, once, and only while nothing has been heard."""

from collections.abc import AsyncIterator, Callable, Sequence

import anyio
import pytest
from msgspec.structs import replace
from typing_extensions import override

from domain.errors import ServiceUnavailable
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Accepted,
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolName,
    ToolStart,
    Usage,
    UsageReport,
)
from domain.providers.request import ProviderRequest
from domain.streaming.events import Delta, Done, StreamEvent, TurnError
from domain.streaming.fallback import Fallback
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from tests.fakes.providers import FunctionProvider, Play, saying
from tests.fakes.turns import MODEL, REQUEST, MemoryBooks, a_brief
from tests.unit.domain.streaming.one_turn import OneTurn

OTHER = replace(MODEL, id="borealis", provider_id="other", exposes_reasoning=True)
TAKES_NO_CALL = [FailureKind.UNREACHABLE, FailureKind.BUSY_LOCAL, FailureKind.OVERLOADED]


def failed(kind: FailureKind) -> Failed:
    return Failed(failure=ProviderFailure(kind=kind, retry_after_ms=700))


def telling(*batches: Sequence[ProviderEvent]) -> FunctionProvider:
    async def play(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        for batch in batches:
            yield batch

    return FunctionProvider(play)


class Stage:
    """A turn of two models."""

    def __init__(
        self,
        first: FunctionProvider,
        then: Play = saying("B"),  # noqa: B008 - makes a new answer for each call
        *,
        is_offered: Callable[[], bool] = lambda: True,
        books: MemoryBooks | None = None,
    ) -> None:
        self.first = first
        self.second = FunctionProvider(then)
        brief = a_brief()
        fallback = Fallback(
            brief=replace(brief, resolution=replace(brief.resolution, effective=OTHER)),
            provider=self.second,
            request=replace(REQUEST, model="other"),
            is_offered=is_offered,
            on_taken=lambda: None,
        )
        self.turn = OneTurn(first, fallback=fallback, books=books)

    async def told(self) -> tuple[list[StreamEvent], StreamEvent]:
        _, *events, terminal = await self.turn.run()
        assert self.first.closed == len(self.first.requests)
        return events, terminal


@pytest.mark.parametrize("kind", TAKES_NO_CALL)
@pytest.mark.parametrize("head", [[], [Accepted(503)]])
async def test_the_other_model_answers_and_is_named(kind: FailureKind, head: list[ProviderEvent]) -> None:
    stage = Stage(telling([*head, failed(kind)]))
    events, terminal = await stage.told()
    assert events == [Delta("text", "B")]
    assert isinstance(terminal, Done)
    assert (terminal.effective_model, terminal.selected_model) == ("borealis", MODEL.id)
    assert stage.turn.books.gone_over == ["borealis"]
    assert [request.model for request in stage.second.requests] == ["other"]
    (closing,) = stage.turn.books.closings
    assert closing.brief.resolution.effective.id == "borealis"


async def test_a_head_in_a_batch_of_its_own_does_not_bind_the_turn() -> None:
    events, _ = await Stage(telling([Accepted(200)], [failed(FailureKind.OVERLOADED)])).told()
    assert events == [Delta("text", "B")]


@pytest.mark.parametrize(
    "heard",
    [
        TextDelta("A"),
        ReasoningDelta("hm"),
        ToolStart("t", ToolName.WEB_SEARCH),
        UsageReport(Usage(input_tokens=1)),
    ],
)
async def test_once_something_was_heard_the_model_stays(heard: ProviderEvent) -> None:
    for batches in ([[heard, failed(FailureKind.OVERLOADED)]], [[heard], [failed(FailureKind.OVERLOADED)]]):
        stage = Stage(telling(*batches))
        _, terminal = await stage.told()
        assert isinstance(terminal, TurnError)
        assert terminal.code == "provider_unavailable"
        assert stage.second.requests == []


@pytest.mark.parametrize("kind", sorted(set(FailureKind) - set(TAKES_NO_CALL), key=str))
async def test_other_failures_are_the_turn_s_own(kind: FailureKind) -> None:
    stage = Stage(telling([Accepted(200), failed(kind)]))
    _, terminal = await stage.told()
    assert isinstance(terminal, TurnError)
    assert stage.second.requests == []


async def test_it_goes_over_once_and_then_the_second_failure_stands() -> None:
    async def fails(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [failed(FailureKind.RATE_LIMITED)]

    stage = Stage(telling([failed(FailureKind.UNREACHABLE)]), fails)
    _, terminal = await stage.told()
    assert isinstance(terminal, TurnError)
    assert (terminal.code, len(stage.first.requests), len(stage.second.requests)) == ("rate_limited", 1, 1)


async def test_a_model_that_was_switched_off_meanwhile_is_not_called() -> None:
    stage = Stage(telling([failed(FailureKind.OVERLOADED)]), is_offered=lambda: False)
    _, terminal = await stage.told()
    assert isinstance(terminal, TurnError)
    assert (terminal.code, terminal.retry_after_ms) == ("provider_unavailable", 700)
    assert (stage.turn.books.gone_over, stage.second.requests) == ([], [])


async def test_a_model_that_is_switched_off_while_the_turn_goes_over_is_not_called_either() -> None:
    answers = iter([True, False])
    stage = Stage(telling([failed(FailureKind.OVERLOADED)]), is_offered=lambda: next(answers))
    _, terminal = await stage.told()
    assert isinstance(terminal, TurnError)
    assert (terminal.code, stage.turn.books.gone_over) == ("provider_unavailable", ["borealis"])
    assert stage.second.requests == []
    assert not stage.turn.books.closings[0].provider_called


async def test_what_cannot_be_written_down_is_not_called() -> None:
    class Gone(MemoryBooks):
        @override
        async def may_call_instead(self, brief: TurnBrief) -> StopReason | None:
            raise ServiceUnavailable

    stage = Stage(telling([failed(FailureKind.OVERLOADED)]), books=Gone())
    _, terminal = await stage.told()
    assert isinstance(terminal, TurnError)
    assert (terminal.code, stage.second.requests) == ("provider_unavailable", [])


async def test_a_turn_that_was_cancelled_meanwhile_calls_nobody_else() -> None:
    class Cancelled(MemoryBooks):
        @override
        async def may_call_instead(self, brief: TurnBrief) -> StopReason | None:
            return StopReason.CANCEL_REQUESTED

    stage = Stage(telling([failed(FailureKind.OVERLOADED)]), books=Cancelled())
    _, terminal = await stage.told()
    assert isinstance(terminal, TurnError)
    assert (terminal.code, stage.second.requests) == ("turn_cancelled", [])


async def test_reasoning_is_shown_as_the_model_that_answers_shows_it() -> None:
    async def thinks(_: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [ReasoningDelta("hm"), TextDelta("B"), Completed(finish=Finish.STOP)]

    events, _ = await Stage(telling([failed(FailureKind.OVERLOADED)]), thinks).told()
    assert events == [Delta("reasoning", "hm"), Delta("text", "B")]


async def test_a_turn_that_is_stopped_while_it_goes_over_is_settled_as_its_row_says() -> None:
    writing, written = anyio.Event(), anyio.Event()

    class Slow(MemoryBooks):
        @override
        async def may_call_instead(self, brief: TurnBrief) -> StopReason | None:
            writing.set()
            await written.wait()
            return await super().may_call_instead(brief)

    stage = Stage(telling([failed(FailureKind.OVERLOADED)]), books=Slow())
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(stage.turn.run)
        await writing.wait()
        stage.turn.actor.stop(StopReason.CANCEL_REQUESTED)
        await anyio.wait_all_tasks_blocked()
        written.set()
    (closing,) = stage.turn.books.closings
    assert stage.turn.books.gone_over == ["borealis"]
    assert (closing.brief.resolution.effective.id, closing.provider_called) == ("borealis", False)
    assert stage.second.requests == []

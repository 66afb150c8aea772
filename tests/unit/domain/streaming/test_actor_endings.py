"""Every way a turn can end (api.md 4.8): what the readers are told, and what is settled."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from typing_extensions import override

from domain.providers.errors import VERDICTS, FailureKind, ProviderFailure
from domain.providers.events import (
    Citation,
    CitationFound,
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    TextDelta,
    Usage,
)
from domain.providers.ports import CallControl
from domain.providers.request import ProviderRequest
from domain.streaming.events import Citations, Done, StreamEvent, TurnError
from domain.streaming.models import INTERNAL_FAULT, INTERRUPTED, Finished, Stopped, StopReason, StreamLimits
from domain.streaming.ports import Closing
from tests.fakes.providers import FunctionProvider, Play, saying
from tests.fakes.turns import MemoryBooks
from tests.unit.domain.streaming.one_turn import OneTurn, held
from tests.unit.domain.streaming.samples import DELTA, numbers

USAGE = Usage(input_tokens=11, output_tokens=2)
CITATION = Citation(source="web", title="Tides", snippet="High water.")


def yielding(*batches: Sequence[ProviderEvent]) -> Play:
    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        for batch in batches:
            yield batch

    return play


async def told_and_settled(play: Play) -> tuple[list[StreamEvent], Closing]:
    turn = OneTurn(FunctionProvider(play))
    with anyio.fail_after(5):
        events = await turn.run()
    (closing,) = turn.books.closings
    return events, closing


@pytest.mark.parametrize("finish", Finish)
async def test_a_provider_that_finishes_is_told_as_done_with_its_reason(finish: Finish) -> None:
    (_, delta, done), closing = await told_and_settled(
        yielding([TextDelta("a")], [Completed(finish=finish, usage=USAGE)])
    )
    assert delta == DELTA
    assert isinstance(done, Done)
    assert done.finish_reason == finish
    assert closing.ending == Finished(finish=finish, usage=USAGE)


@pytest.mark.parametrize("kind", FailureKind)
async def test_a_provider_that_fails_is_told_with_the_code_of_the_failure(kind: FailureKind) -> None:
    failure = ProviderFailure(kind=kind, retry_after_ms=2000, detail="secret")
    (_, delta, error), closing = await told_and_settled(yielding([TextDelta("a")], [Failed(failure=failure)]))
    verdict = VERDICTS[kind]
    assert delta == DELTA
    assert isinstance(error, TurnError)
    assert (error.code, error.retryable, error.retry_after_ms) == (verdict.code, verdict.retryable, 2000)
    assert "secret" not in error.message
    assert closing.transcript.text == "a"


async def test_a_provider_that_ends_without_a_terminal_is_told_as_interrupted() -> None:
    """Decision 5."""
    (_, _, error), closing = await told_and_settled(yielding([TextDelta("a")]))
    assert isinstance(error, TurnError)
    assert (error.code, error.retryable) == ("stream_interrupted", True)
    assert (closing.ending, closing.transcript.text) == (INTERRUPTED, "a")


async def test_a_provider_that_ends_with_nothing_at_all_is_told_as_interrupted() -> None:
    (_, error), _ = await told_and_settled(yielding())
    assert isinstance(error, TurnError)
    assert error.code == "stream_interrupted"


async def test_an_exception_in_a_provider_is_our_own_fault_and_keeps_what_was_said() -> None:
    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("a")]
        raise LookupError("secret")

    (_, delta, error), closing = await told_and_settled(play)
    assert delta == DELTA
    assert isinstance(error, TurnError)
    assert (error.code, error.retryable) == ("internal_error", True)
    assert "secret" not in error.message
    assert (closing.ending, closing.transcript.text) == (INTERNAL_FAULT, "a")


async def test_a_cancelled_future_inside_a_provider_is_our_own_fault_and_no_cancellation() -> None:
    """Nobody cancelled the turn; let out, it would cancel the turns of every tenant."""

    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("a")]
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled

    (_, _, error), closing = await told_and_settled(play)
    assert isinstance(error, TurnError)
    assert error.code == "internal_error"
    assert closing.ending == INTERNAL_FAULT


async def test_an_answer_that_was_complete_stays_so_when_closing_the_provider_fails() -> None:
    class FailsToClose(FunctionProvider):
        @override
        @asynccontextmanager
        async def stream(
            self, request: ProviderRequest, control: CallControl
        ) -> AsyncIterator[AsyncIterator[Sequence[ProviderEvent]]]:
            async with super().stream(request, control) as batches:
                yield batches
            raise LookupError

    turn = OneTurn(FailsToClose(saying("a")))
    with anyio.fail_after(5):
        events = await turn.run()
    assert isinstance(events[-1], Done)


async def test_a_turn_that_takes_too_long_is_told_as_timed_out_with_what_was_said() -> None:
    turn = OneTurn(
        FunctionProvider(saying("a", "never", gate=held(after=1))),
        limits=StreamLimits(turn_deadline=timedelta(milliseconds=20)),
    )
    with anyio.fail_after(5):
        _, delta, error = await turn.run()
    assert delta == DELTA
    assert isinstance(error, TurnError)
    assert (error.code, error.retryable) == ("turn_timeout", True)
    assert turn.provider.closed == 1


STOPPED = [
    (StopReason.DISCONNECT, "turn_cancelled", False),
    (StopReason.CHAT_DELETED, "turn_cancelled", False),
    (StopReason.TURN_TIMEOUT, "turn_timeout", True),
    (StopReason.DRAIN, "server_shutdown", True),
]


@pytest.mark.parametrize(("reason", "code", "retryable"), STOPPED)
async def test_a_stopped_turn_is_told_by_its_reason(reason: StopReason, code: str, retryable: bool) -> None:
    turn = OneTurn(FunctionProvider(saying("a", "never", gate=held(after=1))))
    with anyio.fail_after(5):
        _, _, error = await turn.run(after=2, then=lambda: turn.actor.stop(reason))
    assert isinstance(error, TurnError)
    assert (error.code, error.retryable) == (code, retryable)
    assert turn.books.closings[0].ending == Stopped(reason=reason)


async def test_an_answer_that_grows_too_long_is_cut_and_the_provider_closed() -> None:
    turn = OneTurn(
        FunctionProvider(saying("abc", "def", "never", gate=held(after=2))), limits=StreamLimits(max_text_bytes=6)
    )
    with anyio.fail_after(5):
        *_, done = await turn.run()
    assert isinstance(done, Done)
    assert (done.finish_reason, turn.books.closings[0].transcript.text) == ("length", "abcdef")
    assert turn.provider.closed == 1


@pytest.mark.parametrize(
    "terminal", [Completed(finish=Finish.STOP), Failed(failure=ProviderFailure(kind=FailureKind.INTERRUPTED))]
)
async def test_citations_come_once_and_right_before_the_terminal(terminal: ProviderEvent) -> None:
    play = yielding([CitationFound(CITATION), TextDelta("a"), CitationFound(CITATION)], [terminal])
    (_, delta, citations, last), closing = await told_and_settled(play)
    assert delta == DELTA
    assert citations == Citations((CITATION, CITATION))
    assert isinstance(last, Done | TurnError)
    assert closing.last_number == 4


async def test_what_follows_the_terminal_is_not_told() -> None:
    events, _ = await told_and_settled(
        yielding([TextDelta("a"), Completed(finish=Finish.STOP), TextDelta("late")], [TextDelta("later")])
    )
    assert [type(event).__name__ for event in events] == ["StreamStarted", "Delta", "Done"]


async def test_the_provider_is_closed_before_the_books_and_the_books_before_the_terminal() -> None:
    order: list[str] = []
    provider = FunctionProvider(saying("a"))

    async def commit() -> None:
        order.append(f"closed {provider.closed}")
        await anyio.wait_all_tasks_blocked()
        order.append(f"told {len(turn.events)}")

    turn = OneTurn(provider, books=MemoryBooks(commit))
    with anyio.fail_after(5):
        events = await turn.run()
    assert order == ["closed 1", "told 2"]
    assert len(events) == 3


async def test_the_stream_starts_before_the_provider_is_called() -> None:
    order: list[str] = []

    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        await anyio.wait_all_tasks_blocked()
        order.append(f"told {len(turn.events)}")
        yield [Completed(finish=Finish.STOP)]

    turn = OneTurn(FunctionProvider(play))
    with anyio.fail_after(5):
        await turn.run()
    assert order == ["told 1"]


async def test_books_that_fail_are_told_as_our_own_fault() -> None:
    async def fail() -> None:
        raise LookupError("secret")

    turn = OneTurn(FunctionProvider(saying("a")), books=MemoryBooks(fail))
    with anyio.fail_after(5):
        _, _, error = await turn.run()
    assert isinstance(error, TurnError)
    assert error.code == "internal_error"


async def test_books_that_leak_a_cancellation_are_told_as_our_own_fault() -> None:
    async def fail() -> None:
        cancelled = asyncio.get_running_loop().create_future()
        cancelled.cancel()
        await cancelled

    turn = OneTurn(FunctionProvider(saying("a")), books=MemoryBooks(fail))
    with anyio.fail_after(5):
        _, _, error = await turn.run()
    assert isinstance(error, TurnError)
    assert error.code == "internal_error"


async def test_a_reader_that_stalls_is_dropped_and_its_turn_cancelled_with_all_that_was_said() -> None:
    provider = FunctionProvider(saying("a", "b", "never", gate=held(after=2)))
    turn = OneTurn(provider, limits=StreamLimits(capacity=1, send_deadline=timedelta(milliseconds=1)))
    with anyio.fail_after(5):
        await turn.actor.run()
    (closing,) = turn.books.closings
    assert closing.ending == Stopped(reason=StopReason.DISCONNECT)
    assert provider.closed == 1


async def test_events_are_numbered_without_gaps() -> None:
    turn = OneTurn(FunctionProvider(saying(*"abcde")))
    with anyio.fail_after(5):
        await turn.run()
    assert numbers(turn.numbered) == list(range(1, 8))

"""Stopping a turn: the first ending wins, at whatever moment the others come."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from typing_extensions import override

from domain.providers.events import Completed, Finish, ProviderEvent, TextDelta
from domain.providers.ports import CallControl
from domain.providers.request import ProviderRequest
from domain.streaming.events import Done, TurnError
from domain.streaming.models import Finished, Stopped, StopReason, StreamLimits
from tests.fakes.providers import FunctionProvider, saying
from tests.fakes.turns import MemoryBooks
from tests.unit.domain.streaming.one_turn import OneTurn, held
from tests.unit.domain.streaming.samples import DELTA


class SlowToClose(FunctionProvider):
    """Holds the turn in its closing until the test lets go, whatever cancels it; `leaving` is set meanwhile."""

    def __init__(self, *batches: Sequence[ProviderEvent]) -> None:
        async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
            for batch in batches:
                yield batch
            await anyio.sleep_forever()

        super().__init__(play)
        self.leaving = anyio.Event()
        self.let_go = anyio.Event()

    @override
    @asynccontextmanager
    async def stream(
        self, request: ProviderRequest, control: CallControl
    ) -> AsyncIterator[AsyncIterator[Sequence[ProviderEvent]]]:
        async with super().stream(request, control) as batches:
            try:
                yield batches
            finally:
                with anyio.CancelScope(shield=True):
                    self.leaving.set()
                    await self.let_go.wait()


async def test_the_first_reason_wins() -> None:
    turn = OneTurn(FunctionProvider(saying("a", "never", gate=held(after=1))))

    def stop_twice() -> None:
        turn.actor.stop(StopReason.DRAIN)
        turn.actor.stop(StopReason.DISCONNECT)

    with anyio.fail_after(5):
        await turn.run(after=2, then=stop_twice)
    assert turn.books.closings[0].ending == Stopped(reason=StopReason.DRAIN)


async def test_a_turn_stopped_before_it_runs_never_publishes_text() -> None:
    turn = OneTurn(FunctionProvider(saying("a", gate=anyio.lowlevel.checkpoint)))
    turn.actor.stop(StopReason.DRAIN)
    with anyio.fail_after(5):
        _, error = await turn.run()
    assert isinstance(error, TurnError)
    assert error.code == "server_shutdown"


async def test_a_stop_while_the_books_are_closed_changes_nothing() -> None:
    async def commit() -> None:
        turn.actor.stop(StopReason.DISCONNECT)
        await anyio.lowlevel.checkpoint()

    turn = OneTurn(FunctionProvider(saying("a")), books=MemoryBooks(commit))
    with anyio.fail_after(5):
        *_, done = await turn.run()
    assert isinstance(done, Done)
    assert (turn.books.committed, turn.actor.control.cancelled) == (1, False)


async def test_a_provider_that_stops_by_itself_once_told_to_has_not_broken_off() -> None:
    """The port forbids events after `cancelled`, so a stop that meets arriving data ends without a terminal."""

    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("a")]
        turn.actor.stop(StopReason.DISCONNECT)

    turn = OneTurn(FunctionProvider(play))
    with anyio.fail_after(5):
        _, _, error = await turn.run()
    assert isinstance(error, TurnError)
    assert error.code == "turn_cancelled"


async def test_a_provider_that_fails_while_it_is_stopped_was_stopped() -> None:
    async def play(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        yield [TextDelta("a")]
        turn.actor.stop(StopReason.DISCONNECT)
        raise LookupError

    turn = OneTurn(FunctionProvider(play))
    with anyio.fail_after(5):
        await turn.run()
    assert turn.books.closings[0].ending == Stopped(reason=StopReason.DISCONNECT)


async def test_an_answer_that_was_complete_stays_so_when_its_reader_leaves_during_the_close() -> None:
    provider = SlowToClose([TextDelta("a"), Completed(finish=Finish.STOP)])
    turn = OneTurn(provider)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.actor.run)
            await provider.leaving.wait()
            turn.reader.leave()
            provider.let_go.set()
    assert turn.books.closings[0].ending == Finished(finish=Finish.STOP, usage=None)


async def test_a_close_that_hangs_after_the_answer_is_cut_by_a_stop() -> None:
    class Hanging(FunctionProvider):
        @override
        @asynccontextmanager
        async def stream(
            self, request: ProviderRequest, control: CallControl
        ) -> AsyncIterator[AsyncIterator[Sequence[ProviderEvent]]]:
            async with super().stream(request, control) as batches:
                yield batches
                leaving.set()
                await anyio.sleep_forever()

    leaving = anyio.Event()
    turn = OneTurn(Hanging(saying("a")))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.actor.run)
            await leaving.wait()
            turn.actor.stop(StopReason.DRAIN)
    assert isinstance(turn.books.closings[0].ending, Finished)


@pytest.mark.parametrize("deadline_first", [True, False])
async def test_of_deadline_and_stop_the_first_wins_however_long_the_close_takes(*, deadline_first: bool) -> None:
    provider = SlowToClose([TextDelta("a")])
    turn_deadline = timedelta(milliseconds=10)
    turn = OneTurn(provider, limits=StreamLimits(turn_deadline=turn_deadline))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.actor.run)
            if not deadline_first:
                turn.actor.stop(StopReason.DISCONNECT)
            await provider.leaving.wait()
            turn.actor.stop(StopReason.DISCONNECT)
            await anyio.sleep(2 * turn_deadline.total_seconds())
            provider.let_go.set()
    reason = StopReason.TURN_TIMEOUT if deadline_first else StopReason.DISCONNECT
    assert turn.books.closings[0].ending == Stopped(reason=reason)


async def test_leaving_stops_a_turn_that_waits_for_its_slow_reader() -> None:
    provider = FunctionProvider(saying("a", "b", "c"))
    turn = OneTurn(provider, limits=StreamLimits(capacity=1))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(turn.actor.run)
            await anyio.wait_all_tasks_blocked()
            turn.reader.leave()
    (closing,) = turn.books.closings
    assert closing.ending == Stopped(reason=StopReason.DISCONNECT)
    assert provider.closed == 1


async def test_text_said_before_a_stop_is_settled() -> None:
    turn = OneTurn(FunctionProvider(saying("a", "never", gate=held(after=1))))
    with anyio.fail_after(5):
        _, delta, _ = await turn.run(after=2, then=lambda: turn.actor.stop(StopReason.DISCONNECT))
    assert delta == DELTA
    assert turn.books.closings[0].transcript.text == "a"

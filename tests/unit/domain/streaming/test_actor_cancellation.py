"""A turn cancelled at each of its awaits, one after the other: it always ends once, and leaves nothing behind."""

import asyncio
import itertools
from collections.abc import Callable
from datetime import timedelta

import anyio
import pytest
from anyio.lowlevel import checkpoint

from domain.clock import SystemClock
from domain.streaming.actor import TurnActor
from domain.streaming.channel import Receiver
from domain.streaming.events import Done, StreamEvent, TurnError
from domain.streaming.models import StopReason, StreamLimits
from domain.streaming.supervisor import TurnSupervisor
from domain.telemetry.ports import SilentTelemetry
from tests.fakes.providers import FunctionProvider, saying
from tests.fakes.turns import REQUEST, MemoryBooks, a_brief
from tests.harness.cancellation import Stepped
from tests.unit.domain.streaming.samples import numbers, read_all

CANCELLABLE = StreamLimits(capacity=1, send_deadline=timedelta(seconds=5))


class Attempt:
    """One turn under a supervisor in a task of its own, whose actor calls `cancel` at its `at`-th await."""

    def __init__(self, at: int, cancel: Callable[["Attempt"], object], monkeypatch: pytest.MonkeyPatch) -> None:
        self.provider = FunctionProvider(saying("a", "b", "c", gate=checkpoint))
        self.books = MemoryBooks()
        self.supervisor = TurnSupervisor(self.books, CANCELLABLE, SystemClock().monotonic, SilentTelemetry())
        self.told: list[StreamEvent] = []
        self.awaits = 0
        self.host: asyncio.Task[None] | None = None
        self._started = anyio.Event()
        self._reader: Receiver | None = None
        original = TurnActor.run

        async def run(actor: TurnActor) -> None:
            stepped = Stepped(original(actor), at, lambda: cancel(self))
            try:
                await stepped
            finally:
                self.awaits = stepped.awaits

        monkeypatch.setattr(TurnActor, "run", run)

    async def _supervise(self) -> None:
        async with self.supervisor.running():
            self._reader = self.supervisor.start(a_brief(), self.provider, REQUEST)
            self._started.set()
            await self.supervisor.wait_idle(timedelta(seconds=5))

    async def run(self) -> None:
        self.host = asyncio.create_task(self._supervise())
        with anyio.fail_after(5):
            await self._started.wait()
            assert self._reader is not None
            events = await read_all(self._reader)
            await asyncio.wait([self.host])
        assert numbers(events) == list(range(1, len(events) + 1))
        self.told = [event for _, event in events]


def check(attempt: Attempt, tasks_before: int) -> None:
    *others, terminal = attempt.told
    assert isinstance(terminal, Done | TurnError)
    assert not any(isinstance(event, Done | TurnError) for event in others)
    assert len(attempt.books.closings) == 1
    assert attempt.books.committed == 1
    assert attempt.provider.closed == len(attempt.provider.requests)
    assert attempt.supervisor.running_turns() == ()
    assert len(asyncio.all_tasks()) == tasks_before


def stop_the_turn(attempt: Attempt) -> None:
    for actor in attempt.supervisor.running_turns():
        actor.stop(StopReason.DISCONNECT)


def cancel_the_group(attempt: Attempt) -> None:
    assert attempt.host is not None
    attempt.host.cancel()


@pytest.mark.parametrize("cancel", [stop_the_turn, cancel_the_group])
async def test_a_turn_cancelled_at_any_await_ends_once_and_leaves_nothing(
    cancel: Callable[[Attempt], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks_before = len(asyncio.all_tasks())
    codes: list[str] = []
    for at in itertools.count(1):
        with monkeypatch.context() as patched:
            attempt = Attempt(at, cancel, patched)
            await attempt.run()
        check(attempt, tasks_before)
        codes.extend(event.code for event in attempt.told if isinstance(event, TurnError))
        if attempt.awaits < at:
            break
    assert at > 6, "the turn was expected to wait for its provider, its reader and its books"
    assert isinstance(attempt.told[-1], Done)
    assert set(codes) == {"turn_cancelled" if cancel is stop_the_turn else "internal_error"}

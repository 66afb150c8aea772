"""The owner of all turns of a process: permits, who stops what, and how all of them end."""

import asyncio
import gc
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta

import anyio
import pytest

from domain.clock import SystemClock
from domain.errors import RateLimited, ServiceUnavailable
from domain.providers.events import ProviderEvent, TextDelta
from domain.providers.request import ProviderRequest
from domain.streaming.channel import Receiver
from domain.streaming.events import Done, TurnError
from domain.streaming.models import Finished, StopReason, StreamLimits
from domain.streaming.ports import OnDisconnect
from domain.streaming.supervisor import TurnSupervisor
from domain.telemetry.ports import SilentTelemetry
from tests.fakes.providers import FunctionProvider, Play, saying
from tests.fakes.turns import REQUEST, MemoryBooks, a_brief
from tests.unit.domain.streaming.samples import read_all

NEVER = saying("never", gate=anyio.sleep_forever)
HOUR = timedelta(hours=1)


def a_supervisor(books: MemoryBooks | None = None, limits: StreamLimits | None = None) -> TurnSupervisor:
    return TurnSupervisor(books or MemoryBooks(), limits or StreamLimits(), SystemClock().monotonic, SilentTelemetry())


def start(
    supervisor: TurnSupervisor, play: Play, *, turn: int = 1, on_disconnect: OnDisconnect = OnDisconnect.CANCEL
) -> Receiver:
    return supervisor.start(a_brief(turn=turn, on_disconnect=on_disconnect), FunctionProvider(play), REQUEST)


async def terminal_of(reader: Receiver) -> Done | TurnError:
    with anyio.fail_after(5):
        _, last = (await read_all(reader))[-1]
    assert isinstance(last, Done | TurnError)
    return last


async def code_of(reader: Receiver) -> str:
    terminal = await terminal_of(reader)
    assert isinstance(terminal, TurnError)
    return terminal.code


async def test_a_turn_is_registered_while_it_runs_and_gone_when_it_has_ended() -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        reader = start(supervisor, saying("a"))
        assert len(supervisor.running_turns()) == 1
        assert isinstance(await terminal_of(reader), Done)
        await supervisor.wait_idle(HOUR)
        assert supervisor.running_turns() == ()


async def test_a_process_that_runs_as_many_turns_as_it_may_asks_for_patience() -> None:
    supervisor = a_supervisor(limits=StreamLimits(max_running=1))
    async with supervisor.running():
        supervisor.require_permit()
        start(supervisor, NEVER)
        with pytest.raises(ServiceUnavailable) as refusal:
            supervisor.require_permit()
        assert refusal.value.retry_after is not None
        await supervisor.end_all()
        supervisor.require_permit()


async def test_turns_cannot_be_started_outside_of_running() -> None:
    supervisor = a_supervisor()
    with pytest.raises(RuntimeError, match="running"):
        start(supervisor, NEVER)


async def test_a_turn_refused_after_running_leaves_nothing_to_wait_for() -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        pass
    with pytest.raises(RuntimeError):
        start(supervisor, NEVER)
    with anyio.fail_after(5):
        await supervisor.end_all()


async def test_stopping_concerns_the_turn_that_is_named() -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        go_on = anyio.Event()
        stopped = start(supervisor, NEVER, turn=1)
        other = start(supervisor, saying("a", gate=go_on.wait), turn=2)
        supervisor.stop(a_brief(turn=1).turn_id, StopReason.CHAT_DELETED)
        assert await code_of(stopped) == "turn_cancelled"
        go_on.set()
        assert isinstance(await terminal_of(other), Done)


async def test_stopping_a_turn_that_does_not_run_here_does_nothing() -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        supervisor.stop(a_brief().turn_id, StopReason.CHAT_DELETED)


async def test_waiting_for_idle_gives_up_after_its_patience_and_stops_nothing() -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        start(supervisor, NEVER)
        with anyio.fail_after(5):
            await supervisor.wait_idle(timedelta(milliseconds=1))
        assert len(supervisor.running_turns()) == 1
        await supervisor.end_all()


async def test_waiting_for_idle_returns_with_the_last_turn() -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        gates = [anyio.Event(), anyio.Event()]
        readers = [start(supervisor, saying("a", gate=gate.wait), turn=n) for n, gate in enumerate(gates)]
        idle = anyio.Event()

        async def wait() -> None:
            await supervisor.wait_idle(HOUR)
            idle.set()

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                gates[0].set()
                await terminal_of(readers[0])
                await anyio.wait_all_tasks_blocked()
                assert not idle.is_set()
                gates[1].set()


async def test_everybody_who_waits_for_idle_is_told() -> None:
    """A second signal ends the turns while the first still waits for them."""
    supervisor = a_supervisor()
    async with supervisor.running():
        start(supervisor, NEVER)
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(supervisor.wait_idle, HOUR)
                await anyio.wait_all_tasks_blocked()
                tasks.start_soon(supervisor.end_all)
                tasks.start_soon(supervisor.end_all)


async def test_ending_all_tells_every_reader_of_the_shutdown_after_its_books_are_closed() -> None:
    books = MemoryBooks()
    supervisor = a_supervisor(books)
    async with supervisor.running():
        readers = [start(supervisor, NEVER, turn=n) for n in range(3)]
        with anyio.fail_after(5):
            await supervisor.end_all()
        assert books.committed == 3
        assert [await code_of(reader) for reader in readers] == ["server_shutdown"] * 3


async def test_leaving_running_waits_for_turns_that_still_run() -> None:
    books = MemoryBooks()
    supervisor = a_supervisor(books)
    async with supervisor.running():
        start(supervisor, saying("a"))
    assert books.committed == 1


async def test_a_turn_whose_last_reader_left_is_cancelled() -> None:
    books = MemoryBooks()
    supervisor = a_supervisor(books)
    async with supervisor.running():
        start(supervisor, NEVER).leave()
        with anyio.fail_after(5):
            await supervisor.wait_idle(HOUR)
    assert books.committed == 1


async def test_a_turn_that_may_continue_finishes_without_readers() -> None:
    books = MemoryBooks()
    supervisor = a_supervisor(books, StreamLimits(capacity=1))
    async with supervisor.running():
        reader = start(supervisor, saying(*"abc"), on_disconnect=OnDisconnect.CONTINUE)
        reader.leave()
        with anyio.fail_after(5):
            await supervisor.wait_idle(HOUR)
    assert books.closings[0].transcript.text == "abc"
    assert isinstance(books.closings[0].ending, Finished)
    assert reader.ended


async def test_a_turn_nobody_begins_to_read_is_cancelled() -> None:
    supervisor = a_supervisor(limits=StreamLimits(reader_deadline=timedelta(milliseconds=1)))
    async with supervisor.running():
        start(supervisor, NEVER)
        with anyio.fail_after(5):
            await supervisor.wait_idle(HOUR)


async def test_a_turn_nobody_refers_to_runs_on() -> None:
    books = MemoryBooks()
    supervisor = a_supervisor(books)
    async with supervisor.running():
        start(supervisor, saying("a", gate=anyio.lowlevel.checkpoint), on_disconnect=OnDisconnect.CONTINUE)
        gc.collect()
        await supervisor.wait_idle(HOUR)
    assert books.closings[0].transcript.text == "a"


async def failing(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
    yield [TextDelta("a")]
    raise LookupError


async def leaking(request: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
    yield [TextDelta("a")]
    cancelled = asyncio.get_running_loop().create_future()
    cancelled.cancel()
    await cancelled


@pytest.mark.parametrize("play", [failing, leaking])
async def test_a_turn_that_breaks_leaves_the_others_alone(play: Play) -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        go_on = anyio.Event()
        broken = start(supervisor, play, turn=1)
        other = start(supervisor, saying("a", gate=go_on.wait), turn=2)
        assert await code_of(broken) == "internal_error"
        await anyio.wait_all_tasks_blocked()
        go_on.set()
        assert isinstance(await terminal_of(other), Done)


async def test_a_further_reader_of_a_running_turn_gets_what_it_missed_and_the_end() -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        go_on = anyio.Event()
        first = start(supervisor, saying(*"ab", gate=go_on.wait))
        joined = supervisor.attach(a_brief().turn_id, 0)
        assert joined is not None
        go_on.set()
        with anyio.fail_after(5):
            theirs, ours = await read_all(first), await read_all(joined)
    assert [number for number, _ in ours] == [number for number, _ in theirs]
    assert ours[1:] == theirs[1:]
    assert [getattr(events[0][1], "is_new_turn", None) for events in (theirs, ours)] == [True, False]


async def test_a_turn_that_does_not_run_here_cannot_be_attached_to() -> None:
    supervisor = a_supervisor()
    async with supervisor.running():
        reader = start(supervisor, saying("a"))
        await terminal_of(reader)
        assert supervisor.attach(a_brief().turn_id, 0) is None


async def test_a_turn_whose_first_reader_left_goes_on_for_another() -> None:
    books = MemoryBooks()
    supervisor = a_supervisor(books)
    async with supervisor.running():
        go_on = anyio.Event()
        first = start(supervisor, saying("a", gate=go_on.wait))
        joined = supervisor.attach(a_brief().turn_id, 1)
        assert joined is not None
        first.leave()
        go_on.set()
        assert isinstance(await terminal_of(joined), Done)
    assert isinstance(books.closings[0].ending, Finished)


async def test_a_turn_has_as_many_readers_as_the_limits_say() -> None:
    supervisor = a_supervisor(limits=StreamLimits(max_readers=2))
    async with supervisor.running():
        start(supervisor, NEVER)
        supervisor.attach(a_brief().turn_id, 0)
        with pytest.raises(RateLimited):
            supervisor.attach(a_brief().turn_id, 0)
        await supervisor.end_all()

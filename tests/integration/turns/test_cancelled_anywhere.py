"""A send, and a turn with its provider call and its books, cancelled at each of their awaits: real sockets, real rows.

After each there is no turn or one that ends, no lease that outlives a reaper, and nothing in use: no task, no
connection of PostgreSQL, none of the provider (reliability.md I-04, I-20, I-21).
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import pytest

from domain.errors import DomainError
from domain.ids import ChatId
from domain.streaming.actor import TurnActor
from domain.streaming.events import Done, TurnError
from domain.streaming.models import StopReason, StreamLimits
from domain.subject import Subject
from infra.local.bus import Exchange
from tests.harness.cancellation import Stepped
from tests.harness.chat_upstream import ChatUpstream, chat_upstream
from tests.harness.engine import Engine, a_chat, a_user, read_all, running_engine
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.harness.upstream import DONE, Reply, finish, text
from tests.integration.turns.books import expire_leases, turns_of
from tests.integration.turns.machine.replica import Replica

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(120)]

ANSWER = Reply(steps=[text("one "), text("two"), 0.005, text(" three"), finish(), DONE], chunked=False)
"""The connection ends with it, so that every turn waits for one of its own."""
LIMITS = StreamLimits(reader_deadline=timedelta(milliseconds=50))
Cancel = Callable[["asyncio.Task[Any]", anyio.CancelScope], object]


def natively(task: "asyncio.Task[Any]", scope: anyio.CancelScope) -> None:
    task.cancel()


def by_scope(task: "asyncio.Task[Any]", scope: anyio.CancelScope) -> None:
    scope.cancel()


def in_use(engine: Engine) -> int:
    """Connections that somebody has and nobody gives back."""
    pools: list[Any] = [engine.pools.requests, engine.pools.reserved]
    return sum(pool.sync_engine.pool.checkedout() - len(pool._at_hand) for pool in pools)


class World:
    def __init__(self, engine: Engine, chat: ChatUpstream, database: Database) -> None:
        self.engine, self.chat, self.database = engine, chat, database
        self.who: Subject = a_user()
        self.tasks_before = set(asyncio.all_tasks())

    async def settled(self) -> None:
        """Nothing is left of what was cancelled."""
        await until(lambda: not self.engine.supervisor.running_turns())
        await until(lambda: in_use(self.engine) == 0 and self.chat.acquired == 0)
        await until(lambda: asyncio.all_tasks() <= self.tasks_before)

    async def turns_after_a_reaper(self, chat_id: ChatId) -> list[Any]:
        await expire_leases(self.database)
        await self.engine.reaper.sweep()
        turns = await turns_of(self.database, chat_id)
        assert all(turn["state"] != "running" for turn in turns)
        return turns


@asynccontextmanager
async def a_world(database: Database) -> AsyncIterator[World]:
    async with chat_upstream() as chat:
        chat.upstream.reply(ANSWER)
        async with running_engine(database.dsn, chat.provider, limits=LIMITS) as engine:
            with anyio.fail_after(5):
                await read_all((await engine.send(who := a_user(), await a_chat(engine, who))).reader)
            world = World(engine, chat, database)
            await world.settled()
            yield world


@pytest.mark.parametrize("cancel", [natively, by_scope])
async def test_a_send_cancelled_at_any_await_leaves_no_turn_or_one_that_ends(
    database: Database, cancel: Cancel
) -> None:
    """By its scope, as a request is cancelled, it leaves nothing to a reaper; natively it may."""
    made = 0
    async with a_world(database) as world:
        for at in itertools.count(1):
            chat_id = await a_chat(world.engine, world.who)
            awaits = await send_cancelled(world, chat_id, at, cancel)
            with anyio.fail_after(10):
                await world.settled()
            if cancel is by_scope:
                assert all(turn["state"] != "running" for turn in await turns_of(database, chat_id))
            turns = await world.turns_after_a_reaper(chat_id)
            assert len(turns) <= 1
            made += len(turns)
            if awaits < at:
                break
        assert at > 4, "a send was expected to read and to write"
        # A scope cancels one turn of the loop later than a task, so a fast database may be quicker each time.
        assert 0 < made < at or cancel is by_scope


async def send_cancelled(world: World, chat_id: ChatId, at: int, cancel: Cancel) -> int:
    """How often it waited."""
    stepped: list[Stepped[Any]] = []

    async def send() -> None:
        with anyio.CancelScope() as scope:
            task = asyncio.current_task()
            assert task is not None
            work = world.engine.send(world.who, chat_id)
            stepped.append(Stepped(work, at, lambda: cancel(task, scope)))
            await stepped[0]

    task = asyncio.create_task(send())
    await asyncio.wait([task])
    error = None if task.cancelled() else task.exception()
    assert error is None or isinstance(error, DomainError), error
    return stepped[0].awaits


async def test_a_turn_stopped_at_any_await_ends_as_its_reader_is_told(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: set[str] = set()
    async with a_world(database) as world:
        for at in itertools.count(1):
            step = Step(monkeypatch, at, lambda actor: actor.stop(StopReason.DISCONNECT))
            chat_id, terminal = await step.told(world.engine, world.who)
            with anyio.fail_after(10):
                await world.settled()
            states.add(await state_as_told(database, chat_id, terminal))
            if step.awaits < at:
                break
        assert at > 8, "a turn was expected to wait for its provider and its books"
    assert states == {"completed", "cancelled"}


async def test_a_process_that_goes_down_at_any_await_of_a_turn_still_closes_its_books(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: set[str] = set()
    who = a_user()
    async with chat_upstream() as chat:
        chat.upstream.reply(ANSWER)
        for at in itertools.count(1):
            replica = await Replica(database.dsn, chat.provider, Exchange()).start()
            step = Step(monkeypatch, at, lambda _: replica.cancel())  # noqa: B023 - awaited within the round
            chat_id, terminal = await step.told(replica.engine, who)
            if step.awaits < at:
                await replica.stop()
                break
            with anyio.fail_after(10):
                await replica.ended()
                await until(lambda: chat.acquired == 0)
            states.add(await state_as_told(database, chat_id, terminal))
        assert at > 8, "a turn was expected to wait for its provider and its books"
    assert "failed" in states


class Step:
    """Calls `cancel` as the task of the next turn is about to wait for the `at`-th time."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, at: int, cancel: Callable[[TurnActor], object]) -> None:
        self.awaits = 0
        self._monkeypatch = monkeypatch
        self._at = at
        self._cancel = cancel

    async def told(self, engine: Engine, who: Subject) -> tuple[ChatId, Done | TurnError]:
        """The chat of the turn, and what its reader is told in the end."""
        original = TurnActor.run

        async def run(actor: TurnActor) -> None:
            stepped = Stepped(original(actor), self._at, lambda: self._cancel(actor))
            try:
                await stepped
            finally:
                self.awaits = stepped.awaits

        with self._monkeypatch.context() as patched, anyio.fail_after(10):
            patched.setattr(TurnActor, "run", run)
            chat_id = await a_chat(engine, who)
            events = await read_all((await engine.send(who, chat_id)).reader)
            await until(lambda: not engine.supervisor.running_turns())
        terminal = events[-1][1]
        assert isinstance(terminal, Done | TurnError)
        return chat_id, terminal


async def state_as_told(database: Database, chat_id: ChatId, terminal: Done | TurnError) -> str:
    (turn,) = await turns_of(database, chat_id)
    state: str = turn["state"]
    code = None if isinstance(terminal, Done) else terminal.code
    assert code == {"completed": None, "cancelled": "turn_cancelled"}.get(state, turn["error_code"])
    return state

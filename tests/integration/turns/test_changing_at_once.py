"""Changes of one turn at the same time, and changes that break off half-way: one wins, or nobody does."""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import anyio
import asyncpg
import pytest

from domain.errors import (
    ChatNotFound,
    DomainError,
    GenerationInProgress,
    NotLatestTurn,
    RequestIdConflict,
    ServiceUnavailable,
)
from domain.ids import ChatId, RequestId
from domain.scope import AccessScope
from domain.streaming.models import StopReason, StreamLimits
from domain.subject import Subject
from domain.turns.models import LATEST, TurnName
from domain.turns.ports import TurnTx
from domain.unit_of_work import Access, OutcomeUnknown, UnitOfWork
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.auditor import audit
from tests.harness.cancellation import Stepped
from tests.harness.engine import Engine, a_chat, a_key, a_user, read_all, running_engine
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.integration.turns.books import chat_row, messages_of, turns_of

pytestmark = pytest.mark.postgres

ROUNDS = 20
WHO: Subject = a_user()
NEVER = FunctionProvider(saying("never", gate=anyio.sleep_forever))

THE_CHAT = "SELECT FROM mini_chat.chats WHERE id = $1 FOR UPDATE"
THE_TURN = "SELECT FROM mini_chat.chat_turns WHERE chat_id = $1 FOR UPDATE"
ITS_MESSAGES = "SELECT FROM mini_chat.messages WHERE chat_id = $1 FOR UPDATE"
WAITING = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

Change = Callable[[Engine, ChatId, TurnName], Coroutine[Any, Any, object]]


async def retry(engine: Engine, chat_id: ChatId, turn: TurnName) -> None:
    await engine.change(WHO, chat_id, turn)


async def edit(engine: Engine, chat_id: ChatId, turn: TurnName) -> None:
    await engine.change(WHO, chat_id, turn, "Goodbye")


async def delete(engine: Engine, chat_id: ChatId, turn: TurnName) -> None:
    await engine.removal.remove(WHO, chat_id, turn)


async def send(engine: Engine, chat_id: ChatId, turn: TurnName) -> None:
    await engine.send(WHO, chat_id, "Another")


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    """Its model never says a word, so that whoever wins keeps the chat."""
    async with running_engine(database.dsn, NEVER) as engine:
        yield engine
    await audit(database.superuser_dsn, ())


class Admin:
    """Holds rows in one session and watches who waits for them in another, which sees every moment anew."""

    def __init__(self, holder: asyncpg.Connection, watcher: asyncpg.Connection) -> None:
        self._holder = holder
        self._watcher = watcher

    @asynccontextmanager
    async def holding(self, rows: str, chat_id: ChatId) -> AsyncIterator[None]:
        async with self._holder.transaction():
            await self._holder.execute(rows, chat_id)
            yield

    async def waiting(self, number: int) -> list[int]:
        """The sessions that wait for a lock, once there are so many."""

        async def look() -> list[int]:
            rows = await self._watcher.fetch(WAITING)
            return [row["pid"] for row in rows] if len(rows) == number else []

        return await eventually(look)

    async def kill(self, pid: int) -> None:
        await self._watcher.execute("SELECT pg_terminate_backend($1)", pid)


@pytest.fixture
async def admin(database: Database) -> AsyncIterator[Admin]:
    async with connected(database.superuser_dsn) as holder, connected(database.superuser_dsn) as watcher:
        yield Admin(holder, watcher)


async def a_cancelled_turn(engine: Engine, chat_id: ChatId) -> RequestId:
    conversation = await engine.send(WHO, chat_id)
    await end_all(engine)
    await read_all(conversation.reader)
    return conversation.request_id


async def end_all(engine: Engine) -> None:
    for actor in engine.supervisor.running_turns():
        actor.stop(StopReason.DISCONNECT)


async def outcome_of(change: Change, engine: Engine, chat_id: ChatId, turn: TurnName) -> type[DomainError] | None:
    try:
        await change(engine, chat_id, turn)
    except DomainError as refusal:
        return type(refusal)
    return None


async def at_once(
    engine: Engine, admin: Admin, chat_id: ChatId, turn: TurnName, *changes: Change
) -> list[type[DomainError] | None]:
    """How each ended. All have read the chat, and wait for its row in this order, before any may write."""
    outcomes: dict[int, type[DomainError] | None] = {}

    async def note(number: int, change: Change) -> None:
        outcomes[number] = await outcome_of(change, engine, chat_id, turn)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks, admin.holding(THE_CHAT, chat_id):
            for number, change in enumerate(changes):
                tasks.start_soon(note, number, change)
                await admin.waiting(number + 1)
    return [outcomes[number] for number in range(len(changes))]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("by_name", [True, False], ids=["latest", "by key"])
@pytest.mark.parametrize(
    ("one", "other", "refusals"),
    [
        (retry, retry, {NotLatestTurn}),
        (retry, edit, {NotLatestTurn}),
        (retry, delete, {NotLatestTurn}),
        (delete, delete, {NotLatestTurn}),
        (retry, send, {NotLatestTurn, GenerationInProgress}),
        (edit, send, {NotLatestTurn, GenerationInProgress}),
    ],
)
async def test_of_two_changes_at_once_one_wins_and_the_other_learns_of_it(
    engine: Engine,
    database: Database,
    admin: Admin,
    one: Change,
    other: Change,
    refusals: set[type[DomainError]],
    *,
    by_name: bool,
) -> None:
    seen: set[type[DomainError]] = set()
    for number in range(ROUNDS):
        chat_id = await a_chat(engine, WHO)
        old = await a_cancelled_turn(engine, chat_id)
        pair = (one, other) if number % 2 else (other, one)
        outcomes = await at_once(engine, admin, chat_id, LATEST if by_name else old, *pair)
        assert outcomes.count(None) == 1
        seen.update(refusal for refusal in outcomes if refusal)
        turns = await turns_of(database, chat_id)
        winner = pair[outcomes.index(None)]
        assert len(turns) == (1 if winner is delete else 2)
        assert (turns[0]["deleted_at"] is None) == (winner is send)
        await end_all(engine)
    assert seen == refusals


@pytest.mark.parametrize("by_name", [True, False], ids=["latest", "by key"])
async def test_a_deletion_comes_too_late_after_a_send_and_does_not_hinder_a_later_one(
    engine: Engine, database: Database, admin: Admin, *, by_name: bool
) -> None:
    for order, expected in (((send, delete), [None, NotLatestTurn]), ((delete, send), [None, None])):
        chat_id = await a_chat(engine, WHO)
        old = await a_cancelled_turn(engine, chat_id)
        assert await at_once(engine, admin, chat_id, LATEST if by_name else old, *order) == expected
        first, second = await turns_of(database, chat_id)
        assert (first["deleted_at"] is not None, second["state"]) == (order[0] is delete, "running")
        await end_all(engine)


@pytest.mark.timeout(60)
async def test_one_change_sent_twice_at_once_is_one_turn(engine: Engine, database: Database, admin: Admin) -> None:
    async def keyed(engine: Engine, chat_id: ChatId, turn: TurnName) -> None:
        await engine.change(WHO, chat_id, turn, request_id=key)

    for _ in range(ROUNDS):
        chat_id, key = await a_chat(engine, WHO), a_key()
        await a_cancelled_turn(engine, chat_id)
        outcomes = await at_once(engine, admin, chat_id, LATEST, keyed, keyed)
        assert outcomes == [None, RequestIdConflict]
        assert [turn["request_id"] for turn in await turns_of(database, chat_id)][1:] == [key]
        await end_all(engine)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("change", [retry, edit, delete])
@pytest.mark.parametrize("first", [True, False], ids=["before", "after"])
async def test_a_chat_deleted_meanwhile_takes_everything_with_it(
    engine: Engine, admin: Admin, change: Change, *, first: bool
) -> None:
    async def delete_chat(engine: Engine, chat_id: ChatId, turn: TurnName) -> None:
        await engine.chats.delete(WHO, chat_id)

    chat_id = await a_chat(engine, WHO)
    old = await a_cancelled_turn(engine, chat_id)
    outcomes = await at_once(engine, admin, chat_id, old, *((delete_chat, change) if first else (change, delete_chat)))
    assert outcomes == ([None, ChatNotFound] if first else [None, None])
    with anyio.fail_after(5):
        await engine.supervisor.wait_idle(timedelta(seconds=5))


@pytest.mark.parametrize("held", [THE_CHAT, THE_TURN, ITS_MESSAGES], ids=["chat", "turn", "messages"])
@pytest.mark.parametrize("change", [retry, edit, delete])
async def test_a_connection_lost_in_the_middle_of_a_change_leaves_everything_as_it_was(
    engine: Engine, database: Database, admin: Admin, change: Change, held: str
) -> None:
    """It is killed while it waits for a row: of the chat, which it takes first, or of what it is about to hide."""
    chat_id = await a_chat(engine, WHO)
    old = await a_cancelled_turn(engine, chat_id)
    before = await everything(database, chat_id)
    outcomes: list[type[DomainError] | None] = []

    async def note() -> None:
        outcomes.append(await outcome_of(change, engine, chat_id, old))

    with anyio.fail_after(10):
        async with admin.holding(held, chat_id), anyio.create_task_group() as tasks:
            tasks.start_soon(note)
            (pid,) = await admin.waiting(1)
            await admin.kill(pid)
    assert outcomes == [ServiceUnavailable]
    assert await everything(database, chat_id) == before
    await change(engine, chat_id, old)


class LosingAnswers:
    """A unit of work whose first commit of a write happens, or does not, and is not heard of.

    The next `refused` reads find the database gone, as they do in a failover.
    """

    def __init__(self, begin: UnitOfWork[TurnTx], *, commits: bool, refused: int = 0) -> None:
        self._begin = begin
        self._commits = commits
        self._refused = refused
        self._lost = False

    @asynccontextmanager
    async def __call__(self, scope: AccessScope, access: Access = Access.WRITE) -> AsyncIterator[TurnTx]:
        if self._lost and self._refused:
            self._refused -= 1
            raise ServiceUnavailable
        if access is Access.READ or self._lost:
            async with self._begin(scope, access) as tx:
                yield tx
            return
        self._lost = True
        async with self._begin(scope) as tx:
            yield tx
            if not self._commits:
                raise OutcomeUnknown
        raise OutcomeUnknown


@pytest.mark.parametrize("commits", [True, False])
async def test_a_deletion_whose_answer_is_lost_finds_out_what_became_of_it(
    engine: Engine, database: Database, *, commits: bool
) -> None:
    chat_id = await a_chat(engine, WHO)
    old = await a_cancelled_turn(engine, chat_id)
    revision = (await chat_row(database, chat_id))["revision"]
    engine.removal._begin = LosingAnswers(engine.removal._begin, commits=commits)
    await engine.removal.remove(WHO, chat_id, old)
    assert (await engine.statuses.read(WHO, chat_id, old)).deleted_at is not None
    assert (await chat_row(database, chat_id))["revision"] == revision + 1


@pytest.mark.parametrize("commits", [True, False])
async def test_a_retry_whose_answer_is_lost_is_one_turn(engine: Engine, database: Database, *, commits: bool) -> None:
    opening: Any = engine.turns._opening
    chat_id = await a_chat(engine, WHO)
    await a_cancelled_turn(engine, chat_id)
    opening._begin = LosingAnswers(opening._begin, commits=commits)
    await retry(engine, chat_id, LATEST)
    assert len(await turns_of(database, chat_id)) == 2


async def test_a_retry_that_was_committed_runs_although_the_database_was_gone_when_it_asked(
    engine: Engine, database: Database
) -> None:
    """Else the old answer would be gone and nobody would give another."""
    opening: Any = engine.turns._opening
    chat_id = await a_chat(engine, WHO)
    await a_cancelled_turn(engine, chat_id)
    opening._begin = LosingAnswers(opening._begin, commits=True, refused=2)
    await retry(engine, chat_id, LATEST)
    old, new = await turns_of(database, chat_id)
    assert (old["deleted_at"] is not None, new["state"]) == (True, "running")
    assert [actor.brief.turn_id for actor in engine.supervisor.running_turns()] == [new["id"]]


async def everything(database: Database, chat_id: ChatId) -> list[Any]:
    return [
        await chat_row(database, chat_id),
        await turns_of(database, chat_id),
        await messages_of(database, chat_id),
    ]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("change", [retry, delete])
async def test_a_caller_who_is_gone_at_any_moment_leaves_the_old_turn_or_the_new_state_whole(
    database: Database, change: Change
) -> None:
    """Cancelled at its n-th await, for every n until it ends before."""
    unread = StreamLimits(reader_deadline=timedelta(milliseconds=20))
    at, outcomes = 0, set[bool]()
    async with running_engine(database.dsn, NEVER, limits=unread) as engine:
        while True:
            at += 1
            chat_id = await a_chat(engine, WHO)
            old = await a_cancelled_turn(engine, chat_id)
            before = await everything(database, chat_id)
            with anyio.fail_after(10), anyio.CancelScope() as scope:
                step = Stepped(change(engine, chat_id, old), at, scope.cancel)
                await step
            await engine.supervisor.wait_idle(timedelta(seconds=5))
            first, *others = await turns_of(database, chat_id)
            changed = first["deleted_at"] is not None
            assert [turn["kind"] for turn in others] == (["retry"] if changed and change is retry else [])
            assert changed or await everything(database, chat_id) == before
            outcomes.add(changed)
            if step.awaits < at:
                break
    assert changed
    assert outcomes == {True, False}
    await audit(database.superuser_dsn, ())

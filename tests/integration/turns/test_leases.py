"""Owners, lost owners and those who end their turns, on a real database."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import anyio
import pytest
from typing_extensions import override

from domain.clock import SystemClock
from domain.errors import ServiceUnavailable
from domain.ids import ChatId, OwnerId, TurnId
from domain.streaming.events import Done, TurnError
from domain.streaming.models import StopReason
from domain.streaming.ports import OnDisconnect, TurnBrief
from domain.subject import Subject
from domain.telemetry.ports import SilentTelemetry
from domain.turns.leases import LeaseBeat
from domain.turns.models import LeasedTurn, SavedPart
from domain.turns.ports import Leases
from domain.turns.service import Conversation
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_user, read_all, running_engine
from tests.harness.eventually import eventually, until
from tests.harness.postgres import Database
from tests.harness.rows import connected, insert
from tests.integration.turns.books import Answer, answers_of, expire_leases, only_turn, parts, unexpired
from tests.integration.turns.spoken import Spoken

pytestmark = pytest.mark.postgres

LEASE = timedelta(seconds=20)
NEVER = saying("never", gate=anyio.sleep_forever)


class LossyLeases:
    """Real leases; the database may be out of reach, and parts may be `passed over` or lost `before` or `after`."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self.unreachable = False
        self.parts_lost: str | None = None
        self.sent: list[list[tuple[int, str]]] = []

    async def renew(self, owned: Sequence[TurnBrief], lease: timedelta) -> Mapping[TurnId, StopReason | None]:
        if self.unreachable:
            raise ServiceUnavailable
        return await self._leases.renew(owned, lease)

    async def save(self, parts: Sequence[SavedPart]) -> Collection[TurnId]:
        self.sent.append([(part.part_no, part.body) for part in parts])
        if self.parts_lost == "before":
            raise ServiceUnavailable
        if self.parts_lost == "passed over":
            return ()
        saved = await self._leases.save(parts)
        if self.parts_lost == "after":
            raise ServiceUnavailable
        return saved

    async def claim_expired(self, owner: OwnerId, lease: timedelta, at_most: int) -> Sequence[LeasedTurn]:
        return await self._leases.claim_expired(owner, lease, at_most)


class SetClock(SystemClock):
    def __init__(self) -> None:
        self.seconds = 1_000.0

    @override
    def monotonic(self) -> float:
        return self.seconds


def a_beat(engine: Engine, clock: SetClock, blind_limit: timedelta = LEASE) -> tuple[LeaseBeat, LossyLeases]:
    """The engine's own, with a database and a clock that the test holds."""
    lossy = LossyLeases(engine.beat._leases)
    begin = engine.beat._begin
    return LeaseBeat(engine.supervisor, lossy, begin, LEASE, blind_limit, clock, SilentTelemetry()), lossy


@asynccontextmanager
async def two_processes(database: Database, first: FunctionProvider) -> AsyncIterator[tuple[Engine, Engine]]:
    async with AsyncExitStack() as stack:
        owner = await stack.enter_async_context(running_engine(database.dsn, first))
        other = await stack.enter_async_context(running_engine(database.dsn, FunctionProvider(NEVER)))
        yield owner, other


async def a_running_turn(engine: Engine, who: Subject) -> tuple[ChatId, Conversation]:
    chat_id = await a_chat(engine, who)
    return chat_id, await engine.send(who, chat_id)


async def last_of(conversation: Conversation) -> TurnError:
    with anyio.fail_after(5):
        _, last = (await read_all(conversation.reader))[-1]
    assert isinstance(last, TurnError)
    return last


async def test_a_beat_extends_the_leases_of_its_own_process_only(database: Database) -> None:
    async with two_processes(database, FunctionProvider(NEVER)) as (owner, other):
        ours = {(await a_running_turn(owner, a_user()))[0] for _ in range(3)}
        await a_running_turn(other, a_user())
        await expire_leases(database)
        await owner.beat.beat()
        assert await unexpired(database) == ours


async def test_text_saved_with_the_beats_is_what_a_reaper_stores(database: Database) -> None:
    spoken, who = Spoken(), a_user()
    async with two_processes(database, spoken) as (owner, other):
        chat_id, conversation = await a_running_turn(owner, who)
        for piece in ("Déjà ", "vu. "):
            await spoken.say(piece, conversation)
            await owner.beat.beat()
        await owner.beat.beat()
        assert await parts(database) == [(1, "Déjà "), (2, "vu. ")]
        await spoken.say("lost with its process", conversation)
        await expire_leases(database)
        await other.reaper.sweep()
        turn = await only_turn(database, chat_id)
        assert (turn["state"], turn["error_code"], turn["owner_epoch"]) == ("failed", "orphan_timeout", 2)
        assert (turn["last_event_id"], turn["usage_source"]) == (2**31 - 1, "estimated")
        assert (turn["settlement"], turn["settled_micro"]) == ("estimated", turn["est_input_tokens"] + 50)
        assert await answers_of(database, chat_id) == [Answer("Déjà vu. ", is_partial=True)]
        assert await parts(database) == []


async def test_a_turn_that_saved_nothing_is_reaped_without_an_answer(database: Database) -> None:
    async with two_processes(database, FunctionProvider(NEVER)) as (owner, other):
        chat_id, _ = await a_running_turn(owner, a_user())
        await expire_leases(database)
        await other.reaper.sweep()
        assert (await only_turn(database, chat_id))["state"] == "failed"
        assert await answers_of(database, chat_id) == []


@pytest.mark.parametrize("lost", ["before", "after"])
async def test_a_part_nobody_confirmed_is_sent_again_unchanged(database: Database, lost: str) -> None:
    """Were it sent grown, the text would gap or double, depending on whether the commit had happened."""
    spoken, who = Spoken(), a_user()
    async with two_processes(database, spoken) as (owner, other):
        chat_id, conversation = await a_running_turn(owner, who)
        beat, lossy = a_beat(owner, SetClock())
        await spoken.say("one ", conversation)
        lossy.parts_lost = lost
        for piece in ("two ", "three "):
            with pytest.raises(ServiceUnavailable):
                await beat.beat()
            await spoken.say(piece, conversation)
        lossy.parts_lost = None
        await beat.beat()
        await beat.beat()
        assert lossy.sent == [[(1, "one ")], [(1, "one ")], [(1, "one ")], [(2, "two three ")]]
        await expire_leases(database)
        await other.reaper.sweep()
        assert await answers_of(database, chat_id) == [Answer("one two three ", is_partial=True)]


async def test_a_part_that_was_passed_over_is_sent_again_unchanged(database: Database) -> None:
    spoken = Spoken()
    async with running_engine(database.dsn, spoken) as engine:
        _, conversation = await a_running_turn(engine, a_user())
        beat, lossy = a_beat(engine, SetClock())
        await spoken.say("one ", conversation)
        lossy.parts_lost = "passed over"
        await beat.beat()
        await spoken.say("two ", conversation)
        lossy.parts_lost = None
        await beat.beat()
        await beat.beat()
        assert await parts(database) == [(1, "one "), (2, "two ")]


async def test_a_part_that_is_being_saved_while_its_turn_ends_goes_with_it(database: Database) -> None:
    """The save waits for a transaction that has put its part there already, and the ending waits for the save."""
    spoken = Spoken()
    async with running_engine(database.dsn, spoken) as engine, connected(database.superuser_dsn) as connection:
        chat_id, conversation = await a_running_turn(engine, a_user())
        await spoken.say("one ", conversation)
        turn = await only_turn(database, chat_id)
        in_the_way = connection.transaction()
        await in_the_way.start()
        columns = {name: turn[name] for name in ("tenant_id", "owner_epoch")}
        await insert(connection, "turn_parts", turn_id=turn["id"], part_no=1, last_event=1, body="", **columns)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(engine.beat.beat)
            await eventually(lambda: waiting(database, 1))
            spoken.finish()
            await eventually(lambda: waiting(database, 2))
            await in_the_way.rollback()
        with anyio.fail_after(5):
            assert isinstance((await read_all(conversation.reader))[-1][1], Done)
        assert await parts(database) == []
        assert await answers_of(database, chat_id) == [Answer("one ", is_partial=False)]


async def waiting(database: Database, backends: int) -> bool:
    """Whether so many wait for a lock."""
    async with connected(database.superuser_dsn) as connection:
        query = """SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND wait_event_type = 'Lock'"""
        return int(await connection.fetchval(query)) >= backends


async def test_parts_that_cannot_be_stored_cost_no_lease(database: Database) -> None:
    spoken, who = Spoken(), a_user()
    async with two_processes(database, spoken) as (owner, other):
        chat_id, conversation = await a_running_turn(owner, who)
        beat, lossy = a_beat(owner, SetClock())
        await spoken.say("one ", conversation)
        await expire_leases(database)
        lossy.parts_lost = "before"
        with pytest.raises(ServiceUnavailable):
            await beat.beat()
        await other.reaper.sweep()
        assert len(owner.supervisor.running_turns()) == 1
        assert await unexpired(database) == {chat_id}


async def test_an_owner_learns_from_its_beat_that_its_turn_was_ended_and_changes_nothing(database: Database) -> None:
    provider = FunctionProvider(NEVER)
    async with two_processes(database, provider) as (owner, other):
        chat_id, conversation = await a_running_turn(owner, a_user())
        await expire_leases(database)
        await other.reaper.sweep()
        before = await only_turn(database, chat_id)
        await owner.beat.beat()
        error = await last_of(conversation)
        assert (error.code, error.retryable) == (before["error_code"], True)
        assert provider.closed == 1
        assert await only_turn(database, chat_id) == before


async def test_an_owner_that_wakes_after_its_turn_was_ended_writes_nothing_and_tells_what_stands(
    database: Database,
) -> None:
    spoken, who = Spoken(), a_user()
    async with two_processes(database, spoken) as (owner, other):
        chat_id, conversation = await a_running_turn(owner, who)
        await spoken.say("too late", conversation)
        await expire_leases(database)
        await other.reaper.sweep()
        before = await only_turn(database, chat_id)
        spoken.finish()
        error = await last_of(conversation)
        assert error.code == "orphan_timeout"
        assert await only_turn(database, chat_id) == before
        assert await answers_of(database, chat_id) == []


async def test_an_owner_whose_turn_was_claimed_but_not_ended_writes_nothing(database: Database) -> None:
    spoken, who = Spoken(), a_user()
    async with two_processes(database, spoken) as (owner, other):
        chat_id, conversation = await a_running_turn(owner, who)
        await spoken.say("too late", conversation)
        await expire_leases(database)
        await other.reaper._leases.claim_expired(other.reaper._owner, LEASE, 10)
        spoken.finish()
        error = await last_of(conversation)
        assert (error.code, error.retry_after_ms) == ("internal_error", 20_000)
        turn = await only_turn(database, chat_id)
        assert (turn["state"], turn["owner_epoch"]) == ("running", 2)


async def test_a_renewed_lease_is_not_reaped(database: Database) -> None:
    async with two_processes(database, FunctionProvider(NEVER)) as (owner, other):
        chat_id, _ = await a_running_turn(owner, a_user())
        await expire_leases(database)
        await owner.beat.beat()
        await other.reaper.sweep()
        assert (await only_turn(database, chat_id))["state"] == "running"


async def test_a_lease_that_is_just_being_renewed_is_passed_over(database: Database) -> None:
    async with two_processes(database, FunctionProvider(NEVER)) as (owner, other):
        chat_id, _ = await a_running_turn(owner, a_user())
        await expire_leases(database)
        async with connected(database.superuser_dsn) as connection, connection.transaction():
            await connection.execute("UPDATE mini_chat.chat_turns SET lease_until = now() + interval '20 s'")
            with anyio.fail_after(1):
                await other.reaper.sweep()
        turn = await only_turn(database, chat_id)
        assert (turn["state"], turn["owner_epoch"]) == ("running", 1)


async def test_beats_and_reapers_at_once_leave_every_turn_to_one_of_them(database: Database) -> None:
    """A turn is either renewed and runs, or claimed and ended; its owner is never both."""
    async with two_processes(database, FunctionProvider(NEVER)) as (owner, other):
        chats = [(await a_running_turn(owner, a_user()))[0] for _ in range(10)]
        await expire_leases(database)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(owner.beat.beat)
            tasks.start_soon(other.reaper.sweep)
        for chat_id in chats:
            turn = await only_turn(database, chat_id)
            assert (turn["state"], turn["owner_epoch"]) in {("running", 1), ("failed", 2)}


async def test_two_reapers_at_once_end_each_turn_once(database: Database) -> None:
    async with two_processes(database, FunctionProvider(NEVER)) as (owner, other):
        chats = [(await a_running_turn(owner, a_user()))[0] for _ in range(10)]
        await expire_leases(database)
        async with anyio.create_task_group() as tasks:
            for _ in range(2):
                tasks.start_soon(owner.reaper.sweep)
                tasks.start_soon(other.reaper.sweep)
        ended = [await only_turn(database, chat_id) for chat_id in chats]
        assert {(turn["state"], turn["owner_epoch"], turn["reap_attempts"]) for turn in ended} == {("failed", 2, 1)}


async def test_a_deletion_in_another_process_reaches_the_owner_with_its_beat(database: Database) -> None:
    provider, who = FunctionProvider(NEVER), a_user()
    async with two_processes(database, provider) as (owner, other):
        chat_id, conversation = await a_running_turn(owner, who)
        await other.chats.delete(who, chat_id)
        await owner.beat.beat()
        assert (await last_of(conversation)).code == "turn_cancelled"
        assert (await only_turn(database, chat_id))["state"] == "cancelled"
        assert provider.closed == 1


async def test_a_lost_turn_that_was_to_be_cancelled_is_cancelled_by_its_reaper(database: Database) -> None:
    who = a_user()
    async with two_processes(database, FunctionProvider(NEVER)) as (owner, other):
        chat_id, _ = await a_running_turn(owner, who)
        await other.chats.delete(who, chat_id)
        await expire_leases(database)
        await other.reaper.sweep()
        turn = await only_turn(database, chat_id)
        assert (turn["state"], turn["error_code"]) == ("cancelled", None)


async def test_a_process_that_is_blind_for_too_long_stops_its_turns_and_leaves_their_rows(database: Database) -> None:
    provider, clock = FunctionProvider(NEVER), SetClock()
    async with running_engine(database.dsn, provider) as engine:
        chat_id, conversation = await a_running_turn(engine, a_user())
        beat, lossy = a_beat(engine, clock, blind_limit=timedelta(seconds=30))
        await beat.beat()
        lossy.unreachable = True
        clock.seconds += 29
        with pytest.raises(ServiceUnavailable):
            await beat.beat()
        assert len(engine.supervisor.running_turns()) == 1
        clock.seconds += 1
        with pytest.raises(ServiceUnavailable):
            await beat.beat()
        error = await last_of(conversation)
        assert (error.code, error.retryable) == ("internal_error", True)
        assert provider.closed == 1
        assert (await only_turn(database, chat_id))["state"] == "running"


async def test_a_process_that_was_idle_is_not_blind(database: Database) -> None:
    clock = SetClock()
    async with running_engine(database.dsn, FunctionProvider(NEVER)) as engine:
        beat, lossy = a_beat(engine, clock, blind_limit=timedelta(seconds=30))
        clock.seconds += 3_600
        await beat.beat()
        await a_running_turn(engine, a_user())
        lossy.unreachable = True
        with pytest.raises(ServiceUnavailable):
            await beat.beat()
        assert len(engine.supervisor.running_turns()) == 1
        assert lossy.sent == []


async def test_a_reason_of_a_newer_process_cancels_its_turn_and_costs_no_other_its_lease(database: Database) -> None:
    who = a_user()
    async with running_engine(database.dsn, FunctionProvider(NEVER)) as engine:
        flagged, other = await a_chat(engine, who), await a_chat(engine, who)
        for chat_id in (flagged, other):
            await engine.send(who, chat_id, on_disconnect=OnDisconnect.CONTINUE)
        async with connected(database.superuser_dsn) as connection:
            await connection.execute(
                "UPDATE mini_chat.chat_turns SET cancel_requested_at = now(), cancel_reason = 'of_tomorrow' "
                "WHERE chat_id = $1",
                flagged,
            )
        await expire_leases(database)
        await engine.beat.beat()
        assert await unexpired(database) >= {other}
        await until(lambda: len(engine.supervisor.running_turns()) == 1)
        assert (await only_turn(database, flagged))["state"] == "cancelled"

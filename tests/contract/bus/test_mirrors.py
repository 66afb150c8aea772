"""A turn that runs in one process, followed in another: over the twin of the bus, over Redis, and over a bad bus."""

import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, TypeAlias
from uuid import uuid4

import anyio
import pytest

from domain.clock import SystemClock
from domain.ids import OwnerId, TenantId, TurnId
from domain.providers.events import Completed, Finish, ProviderEvent, TextDelta, ToolName, ToolStart
from domain.providers.request import ProviderRequest
from domain.streaming.channel import Receiver
from domain.streaming.events import Delta, Done, Numbered, StreamStarted
from domain.streaming.models import Stopped, StopReason, StreamLimits
from domain.streaming.ports import OnDisconnect
from domain.streaming.supervisor import TurnSupervisor
from domain.telemetry.ports import SilentTelemetry
from domain.turns.bus import Bus, FollowTurn, LeaveTurn, Message, ShowEvents
from domain.turns.follower import Followed, Follower
from domain.turns.followers import Followers
from domain.turns.mirrors import PRESENT_FOR, Mirrors
from infra.local.bus import Exchange
from tests.contract.bus.processes import PATIENCE, RECONNECTED_WITHIN_S, Process, on_one_loop, over_redis
from tests.fakes.providers import FunctionProvider
from tests.fakes.turns import REQUEST, MemoryBooks, a_brief
from tests.harness.eventually import until
from tests.harness.redis import RedisServer
from tests.unit.domain.streaming.samples import DONE

LIMITS = StreamLimits(reader_deadline=timedelta(hours=1))
LOOKS_EVERY = timedelta(milliseconds=50)
WORDS = [f"word{number} " for number in range(200)]
SCRIPT = [TextDelta(word) for word in WORDS]
TOO_MANY = 1500
BRIEF = a_brief(on_disconnect=OnDisconnect.CONTINUE)
STARTED = StreamStarted(request_id=str(BRIEF.request_id), message_id=str(BRIEF.message_id), is_new_turn=False)
Two: TypeAlias = tuple[Process, Process]


class LossyBus:
    """Loses and doubles what goes through it."""

    def __init__(self, bus: Bus, dice: random.Random) -> None:
        self._bus = bus
        self._dice = dice

    @property
    def healthy(self) -> bool:
        return self._bus.healthy

    async def tell(self, owner: OwnerId, message: Message) -> None:
        for _ in range(self._dice.choice((0, 1, 1, 1, 2))):
            await self._bus.tell(owner, message)


class Owner:
    """Runs the turn, which says a word whenever it is told to go on."""

    def __init__(
        self, process: Process, present_for: timedelta = PRESENT_FOR, script: Sequence[ProviderEvent] = SCRIPT
    ) -> None:
        self.process = process
        self._script = script
        self.books = MemoryBooks()
        self.supervisor = TurnSupervisor(self.books, StreamLimits(), SystemClock().monotonic, SilentTelemetry())
        self.mirrors = Mirrors(self.supervisor, process.bus, present_for)
        self.may_say = anyio.Semaphore(0)
        process.inbox.on(FollowTurn, self.mirrors.follow)
        process.inbox.on(LeaveTurn, self.mirrors.leave)

    @asynccontextmanager
    async def telling(self, on_disconnect: OnDisconnect = OnDisconnect.CONTINUE) -> AsyncIterator[Receiver]:
        async with self.supervisor.running(), self.mirrors.running():
            brief = a_brief(on_disconnect=on_disconnect)
            yield self.supervisor.start(brief, FunctionProvider(self._play), REQUEST)
            await self.supervisor.end_all()

    def say(self, words: int) -> None:
        for _ in range(words):
            self.may_say.release()

    async def _play(self, _: ProviderRequest) -> AsyncIterator[Sequence[ProviderEvent]]:
        for event in self._script:
            await self.may_say.acquire()
            yield [event]
        yield [Completed(finish=Finish.STOP)]


class Reader:
    """Follows the turn from another process, whose row shows nothing until it is told to."""

    def __init__(self, process: Process, owner: Owner, position: int = 0, beside: "Reader | None" = None) -> None:
        self.got: list[Numbered] = []
        self.told: Sequence[Numbered] | None = None
        followers = Followers(process.bus, process.owner, LOOKS_EVERY, LIMITS) if beside is None else beside.followers
        self.followers: Followers = followers
        process.inbox.on(ShowEvents, followers.show)
        followed = Followed(BRIEF.scope.tenant_id, BRIEF.turn_id, BRIEF.epoch)
        first: list[Numbered] = [] if position else [(1, STARTED)]
        self.follower: Follower = followers.follow(followed, owner.process.owner, first, position, self._look)

    async def _look(self) -> Sequence[Numbered] | None:
        return self.told

    async def read(self) -> None:
        while not self.follower.ended:
            self.got.extend(await self.follower.receive())

    async def has(self, number: int) -> None:
        await until(lambda: bool(self.got) and self.got[-1][0] >= number)

    @property
    def text(self) -> str:
        return "".join(event.content for _, event in self.got if isinstance(event, Delta))


@pytest.fixture(params=["one loop", pytest.param("redis", marks=pytest.mark.redis)])
async def two(request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    if request.param == "one loop":
        exchange = Exchange()
        yield on_one_loop(exchange), on_one_loop(exchange)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    async with over_redis(server.url, PATIENCE) as one, over_redis(server.url, PATIENCE) as other:
        yield one, other


@pytest.mark.parametrize("position", [0, 1, 2, 30, 50])
async def test_a_follower_elsewhere_gets_what_it_missed_and_then_what_is_said(two: Two, position: int) -> None:
    owner = Owner(two[0])
    async with owner.telling() as first, anyio.create_task_group() as tasks:
        first.leave()
        owner.say(50)
        reader = Reader(two[1], owner, position)
        tasks.start_soon(reader.read)
        await reader.has(51)
        owner.say(100)
        await reader.has(151)
        owner.say(50)
    assert [number for number, _ in reader.got] == list(range(1 if position == 0 else position + 1, 203))
    assert reader.text == "".join(WORDS[max(position - 1, 0) :])
    assert isinstance(reader.got[-1][1], Done)


async def test_several_followers_of_one_process_each_get_all_they_missed(two: Two) -> None:
    owner = Owner(two[0])
    async with owner.telling() as first, anyio.create_task_group() as tasks:
        first.leave()
        owner.say(100)
        reader = Reader(two[1], owner)
        tasks.start_soon(reader.read)
        await reader.has(101)
        late = Reader(two[1], owner, 40, beside=reader)
        tasks.start_soon(late.read)
        await late.has(101)
        late.follower.leave()
        reader.follower.leave()
        owner.say(100)
    assert [number for number, _ in late.got] == list(range(41, 102))


async def test_a_follower_that_joins_late_ends_no_other_of_its_process_that_is_a_little_behind(two: Two) -> None:
    owner = Owner(two[0], script=[TextDelta("a")] * (TOO_MANY + 3))
    async with owner.telling() as first, anyio.create_task_group() as tasks:
        first.leave()
        reader = Reader(two[1], owner)
        tasks.start_soon(reader.read)
        for said in range(100, TOO_MANY + 1, 100):
            owner.say(100)
            await reader.has(said + 1)
        lost: list[ShowEvents] = []
        two[1].inbox.on(ShowEvents, lost.append)
        owner.say(1)
        await until(lambda: bool(lost))
        late = Reader(two[1], owner, beside=reader)
        tasks.start_soon(late.read)
        await late.has(TOO_MANY + 2)
        await reader.has(TOO_MANY + 2)
        owner.say(2)
    assert [number for number, _ in reader.got] == list(range(1, TOO_MANY + 6))
    assert [number for number, _ in late.got] == [1, *range(TOO_MANY + 2, TOO_MANY + 6)]
    assert late.text == reader.text


@pytest.mark.parametrize("position", [0, 1, 400])
async def test_a_follower_catches_up_with_a_turn_that_has_said_much_and_no_text(two: Two, position: int) -> None:
    owner = Owner(two[0], script=[ToolStart("k", ToolName.WEB_SEARCH)] * (TOO_MANY + 2))
    async with owner.telling() as first, anyio.create_task_group() as tasks:
        first.leave()
        owner.say(TOO_MANY)
        await until(lambda: owner.supervisor.running_turns()[0].feed.next_number == TOO_MANY + 2)
        reader = Reader(two[1], owner, position)
        shown: list[ShowEvents] = []

        def show(word: ShowEvents) -> None:
            shown.append(word)
            reader.followers.show(word)

        two[1].inbox.on(ShowEvents, show)
        tasks.start_soon(reader.read)
        await until(lambda: bool(shown))
        owner.say(1)
        await reader.has(TOO_MANY + 2)
        owner.say(1)
    numbers = [number for number, _ in reader.got]
    assert numbers == [*([] if position == 1 else [1]), *range(TOO_MANY + 2, TOO_MANY + 5)]


@pytest.mark.parametrize("seed", range(10))
async def test_over_a_bus_that_loses_and_doubles_nothing_wrong_is_told(seed: int) -> None:
    exchange, dice = Exchange(), random.Random(seed)
    here, there = on_one_loop(exchange), on_one_loop(exchange)
    here.bus, there.bus = LossyBus(here.bus, dice), LossyBus(there.bus, dice)
    owner = Owner(here)
    async with owner.telling() as first, anyio.create_task_group() as tasks:
        first.leave()
        reader = Reader(there, owner)
        tasks.start_soon(reader.read)
        for _ in WORDS:
            owner.say(1)
            await anyio.sleep(0.002)
        await until(lambda: owner.books.committed == 1)
        reader.told = [(1, STARTED), (201, Delta("text", "".join(WORDS))), (202, DONE)]
    numbers = [number for number, _ in reader.got]
    assert numbers in (list(range(1, numbers[-1] + 1)), [1, 201, 202])
    assert "".join(WORDS).startswith(reader.text)
    assert isinstance(reader.got[-1][1], Done) == (numbers[-1] == 202)


async def test_a_follower_keeps_the_turn_going_until_it_has_not_asked_for_too_long(two: Two) -> None:
    owner = Owner(two[0], present_for=timedelta(milliseconds=300))
    async with owner.telling(OnDisconnect.CANCEL) as first, anyio.create_task_group() as tasks:
        owner.say(10)
        reader = Reader(two[1], owner)
        tasks.start_soon(reader.read)
        await reader.has(11)
        first.leave()
        owner.say(10)
        await reader.has(21)
        assert not owner.books.closings
        reader.follower.leave()
        await until(lambda: owner.books.committed == 1)
    assert owner.books.closings[0].ending == Stopped(reason=StopReason.DISCONNECT)


async def test_the_turn_ends_at_once_when_the_last_follower_says_that_it_leaves(two: Two) -> None:
    owner = Owner(two[0])
    async with owner.telling(OnDisconnect.CANCEL) as first:
        reader = Reader(two[1], owner)
        async with reader.followers.running(), anyio.create_task_group() as tasks:
            tasks.start_soon(reader.read)
            owner.say(10)
            await reader.has(11)
            first.leave()
            reader.follower.leave()
        await until(lambda: owner.books.committed == 1, within_s=1)


async def test_a_word_of_leaving_that_comes_late_or_means_another_turn_ends_nothing() -> None:
    exchange = Exchange()
    owner, reading = Owner(on_one_loop(exchange)), on_one_loop(exchange)
    shown: list[ShowEvents] = []
    reading.inbox.on(ShowEvents, shown.append)
    turn: dict[str, Any] = {"tenant_id": BRIEF.scope.tenant_id, "turn_id": BRIEF.turn_id, "epoch": BRIEF.epoch}
    async with owner.telling(OnDisconnect.CANCEL) as first:
        for sequence in (2, 3):
            owner.mirrors.follow(FollowTurn(**turn, position=0, reader=reading.owner, sequence=sequence))
        first.leave()
        owner.mirrors.leave(LeaveTurn(**turn, reader=reading.owner, sequence=1))
        owner.say(1)
        await until(lambda: bool(shown) and shown[-1].events[-1].number == 2)
        for other in ({"tenant_id": TenantId(uuid4())}, {"epoch": BRIEF.epoch + 1}):
            owner.mirrors.leave(LeaveTurn(**{**turn, **other}, reader=reading.owner, sequence=4))
        owner.say(1)
        await until(lambda: shown[-1].events[-1].number == 3)
        owner.mirrors.leave(LeaveTurn(**turn, reader=reading.owner, sequence=4))
        await until(lambda: owner.books.committed == 1)


@pytest.mark.parametrize(
    "meant",
    [
        Followed(TenantId(uuid4()), BRIEF.turn_id, BRIEF.epoch),
        Followed(BRIEF.scope.tenant_id, TurnId(uuid4()), BRIEF.epoch),
        Followed(BRIEF.scope.tenant_id, BRIEF.turn_id, BRIEF.epoch + 1),
    ],
    ids=["tenant", "turn", "epoch"],
)
async def test_a_turn_is_shown_under_its_own_tenant_and_owner_only(meant: Followed) -> None:
    exchange = Exchange()
    owner, asking = Owner(on_one_loop(exchange)), on_one_loop(exchange)
    shown: list[ShowEvents] = []
    asking.inbox.on(ShowEvents, shown.append)

    async def ask(turn: Followed) -> None:
        word = FollowTurn(
            tenant_id=turn.tenant_id,
            turn_id=turn.turn_id,
            epoch=turn.epoch,
            position=0,
            reader=asking.owner,
            sequence=1,
        )
        await asking.bus.tell(owner.process.owner, word)

    async with owner.telling():
        owner.say(1)
        await ask(meant)
        await anyio.wait_all_tasks_blocked()
        assert shown == []
        await ask(Followed(BRIEF.scope.tenant_id, BRIEF.turn_id, BRIEF.epoch))
        await until(lambda: bool(shown))


async def test_a_turn_with_as_many_readers_as_it_may_have_is_not_shown_and_goes_on() -> None:
    exchange = Exchange()
    owner, asked = Owner(on_one_loop(exchange)), anyio.Event()

    def follow(word: FollowTurn) -> None:
        owner.mirrors.follow(word)
        asked.set()

    owner.process.inbox.on(FollowTurn, follow)
    async with owner.telling() as first, anyio.create_task_group() as tasks:
        readers = [owner.supervisor.attach(BRIEF.turn_id, 0) for _ in range(7)]
        reader = Reader(on_one_loop(exchange), owner)
        tasks.start_soon(reader.read)
        await asked.wait()
        for each in (first, *readers):
            assert each is not None
            each.leave()
        owner.say(200)
        await until(lambda: owner.books.committed == 1)
        reader.told = [(1, STARTED), (201, Delta("text", "".join(WORDS))), (202, DONE)]
    assert [number for number, _ in reader.got] == [1, 201, 202]


async def test_a_follower_gets_what_was_lost_on_its_way_while_the_turn_has_its_most_readers() -> None:
    exchange = Exchange()
    owner, process = Owner(on_one_loop(exchange)), on_one_loop(exchange)
    async with owner.telling(), anyio.create_task_group() as tasks:
        for _ in range(6):
            owner.supervisor.attach(BRIEF.turn_id, 0)
        reader = Reader(process, owner)
        tasks.start_soon(reader.read)
        owner.say(1)
        await reader.has(2)
        lost: list[ShowEvents] = []
        process.inbox.on(ShowEvents, lost.append)
        owner.say(1)
        await until(lambda: bool(lost))
        process.inbox.on(ShowEvents, reader.followers.show)
        owner.say(1)
        await reader.has(4)
        reader.follower.leave()
    assert [number for number, _ in reader.got] == [1, 2, 3, 4]


@pytest.mark.redis
async def test_a_follower_survives_a_restart_of_redis(own_redis: RedisServer) -> None:
    """What was said meanwhile is asked for as soon as the next event shows the gap."""
    async with over_redis(own_redis.url) as one, over_redis(own_redis.url) as other:
        owner = Owner(one)
        async with owner.telling() as first, anyio.create_task_group() as tasks:
            first.leave()
            reader = Reader(other, owner)
            tasks.start_soon(reader.read)
            owner.say(50)
            await reader.has(51)
            own_redis.kill()
            owner.say(50)
            await until(lambda: owner.supervisor.running_turns()[0].feed.next_number == 102)
            own_redis.start()
            await until(lambda: one.bus.healthy and other.bus.healthy, within_s=RECONNECTED_WITHIN_S)
            while reader.got[-1][0] < 150:
                owner.say(1)
                await anyio.sleep(0.05)
            owner.say(200)
        assert [number for number, _ in reader.got] == list(range(1, 203))

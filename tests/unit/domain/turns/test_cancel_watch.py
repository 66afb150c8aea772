from collections.abc import Mapping, Sequence

import anyio
import pytest

from domain.clock import SystemClock
from domain.ids import OwnerId, TurnId
from domain.streaming.models import StopReason, StreamLimits
from domain.streaming.ports import TurnBrief
from domain.streaming.supervisor import TurnSupervisor
from domain.telemetry.ports import SilentTelemetry
from domain.turns.bus import Message
from domain.turns.cancel_watch import CancelWatch
from tests.fakes.providers import FunctionProvider, saying
from tests.fakes.turns import REQUEST, MemoryBooks, a_brief
from tests.harness.eventually import until

ROUNDS = 9


class Flags:
    def __init__(self) -> None:
        self.looks: list[list[TurnId]] = []
        self.raised_for: dict[TurnId, StopReason] = {}

    async def raised(self, owned: Sequence[TurnBrief]) -> Mapping[TurnId, StopReason]:
        self.looks.append([brief.turn_id for brief in owned])
        return self.raised_for


class Bus:
    healthy = False

    async def tell(self, owner: OwnerId, message: Message) -> None:
        raise AssertionError


class World:
    def __init__(self) -> None:
        self.flags, self.bus = Flags(), Bus()
        self.supervisor = TurnSupervisor(MemoryBooks(), StreamLimits(), SystemClock().monotonic, SilentTelemetry())
        self.watch = CancelWatch(self.supervisor, self.flags, self.bus)

    def start(self, turn: int) -> TurnId:
        brief = a_brief(turn=turn)
        self.supervisor.start(brief, FunctionProvider(saying("never", gate=anyio.sleep_forever)), REQUEST)
        return brief.turn_id

    async def looks_in(self, rounds: int) -> int:
        before = len(self.flags.looks)
        for _ in range(rounds):
            await self.watch.look()
        return len(self.flags.looks) - before


async def test_nothing_is_asked_while_nothing_runs() -> None:
    world = World()
    assert await world.looks_in(ROUNDS) == 0


async def test_a_flag_stops_its_turn_and_no_other() -> None:
    world = World()
    async with world.supervisor.running():
        flagged, other = world.start(1), world.start(2)
        world.flags.raised_for = {flagged: StopReason.CANCEL_REQUESTED}
        await world.watch.look()
        await until(lambda: world.supervisor.find(flagged) is None)
        assert [actor.brief.turn_id for actor in world.supervisor.running_turns()] == [other]
        assert world.flags.looks == [[flagged, other]]
        await world.supervisor.end_all()


@pytest.mark.parametrize(("healthy", "looks"), [(False, ROUNDS), (True, ROUNDS // 3)])
async def test_a_healthy_bus_saves_most_rounds_and_never_all(*, healthy: bool, looks: int) -> None:
    world = World()
    world.bus.healthy = healthy
    async with world.supervisor.running():
        world.start(1)
        assert await world.looks_in(ROUNDS) == looks
        await world.supervisor.end_all()


async def test_a_bus_that_falls_ill_is_made_up_for_in_the_next_round() -> None:
    world = World()
    world.bus.healthy = True
    async with world.supervisor.running():
        world.start(1)
        assert await world.looks_in(1) == 0
        world.bus.healthy = False
        assert await world.looks_in(1) == 1
        await world.supervisor.end_all()

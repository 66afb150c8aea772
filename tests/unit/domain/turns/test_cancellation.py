"""The rules of a cancellation from a process that does not run the turn, its end being a row that changes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID, uuid4

import anyio
import pytest
from msgspec.structs import replace

from domain.auth.policy import LICENCE_FEATURE, Policy
from domain.chats.models import NewChat
from domain.clock import SystemClock
from domain.errors import ChatNotFound, Forbidden, ServiceUnavailable, TurnNotFound
from domain.ids import ChatId, OwnerId, RequestId, TenantId, TurnId, UserId
from domain.scope import AccessScope, scope_for
from domain.streaming.models import StopReason, StreamLimits
from domain.streaming.supervisor import TurnSupervisor
from domain.subject import AuthMethod, Subject
from domain.telemetry.ports import SilentTelemetry
from domain.turns.bus import Message, StopTurn
from domain.turns.cancellation import Cancellation, CancelReceipt, stopping_when_told
from domain.turns.models import LATEST, TurnState
from domain.unit_of_work import Access
from tests.contract.store.samples import a_turn
from tests.fakes.providers import FunctionProvider, saying
from tests.fakes.store import MemoryStore, MemoryTransaction
from tests.fakes.tables import TurnRecord
from tests.fakes.turns import REQUEST, MemoryBooks, a_brief

OWNER = OwnerId(uuid4())
RUNNING_STILL = CancelReceipt(state=TurnState.RUNNING)


class Bus:
    """Calls `then` with the number of words told so far."""

    healthy = True

    def __init__(self, then: Callable[[int], None]) -> None:
        self.told: list[tuple[OwnerId, Message]] = []
        self._then = then

    async def tell(self, owner: OwnerId, message: Message) -> None:
        self.told.append((owner, message))
        self._then(len(self.told))


class World:
    """One chat with one turn of somebody, which runs in another process until `end` is called."""

    def __init__(self, receipt_wait: timedelta = timedelta(seconds=5)) -> None:
        self.who = Subject(
            tenant_id=TenantId(uuid4()),
            user_id=UserId(uuid4()),
            roles=frozenset({"user"}),
            features=frozenset({LICENCE_FEATURE}),
            auth_method=AuthMethod.DEV,
        )
        self.chat_id = ChatId(uuid4())
        self.turn = a_turn(self.chat_id, owner_id=OWNER, owner_epoch=3)
        self.store = MemoryStore(SystemClock())
        self.ends_after = 1
        self.ends_as = TurnState.CANCELLED
        self.bus = Bus(lambda told: self.end() if told == self.ends_after else None)
        self.reads_fail = 0
        supervisor = a_supervisor()
        self.cancellation = Cancellation(
            self.store, self._shaky, Policy(), supervisor, self.bus, receipt_wait, SilentTelemetry()
        )

    async def begun(self) -> "World":
        async with self.store(scope_for(self.who)) as tx:
            await tx.chats.add(self.chat_id, NewChat(model="m"))
        self._put(TurnRecord(user_id=self.who.user_id, user_seq=1, status=self.turn))
        return self

    @property
    def record(self) -> TurnRecord:
        return self.store.committed[self.who.tenant_id].turns[self.turn.id]

    def end(self) -> None:
        closed_ms = 3 if self.ends_as is TurnState.CANCELLED else None
        ended = replace(self.record.status, state=self.ends_as)
        self._put(replace(self.record, status=ended, output_tokens=12, upstream_closed_ms=closed_ms))

    async def cancel(self) -> CancelReceipt:
        return await self.cancellation.cancel(self.who, self.chat_id, LATEST)

    def _put(self, record: TurnRecord) -> None:
        self.store.committed[self.who.tenant_id].turns[self.turn.id] = record

    @asynccontextmanager
    async def _shaky(self, scope: AccessScope, access: Access = Access.WRITE) -> AsyncIterator[MemoryTransaction]:
        if self.reads_fail:
            self.reads_fail -= 1
            raise ServiceUnavailable
        async with self.store(scope, access) as tx:
            yield tx


def a_supervisor() -> TurnSupervisor:
    return TurnSupervisor(MemoryBooks(), StreamLimits(), SystemClock().monotonic, SilentTelemetry())


async def test_the_owner_is_told_which_turn_is_meant_and_the_receipt_is_what_the_row_says() -> None:
    world = await World().begun()
    receipt = await world.cancel()
    assert receipt == CancelReceipt(state=TurnState.CANCELLED, upstream_closed_ms=3, tokens_generated=12)
    word = StopTurn(tenant_id=world.who.tenant_id, turn_id=world.turn.id, epoch=3, reason=StopReason.CANCEL_REQUESTED)
    assert world.bus.told == [(OWNER, word)]
    assert world.record.cancel_reason == "cancel_requested"


async def test_a_word_that_gets_lost_is_said_again() -> None:
    world = await World().begun()
    world.ends_after = 3
    assert (await world.cancel()).state is TurnState.CANCELLED
    assert len(world.bus.told) == 3


async def test_another_ending_that_was_faster_is_told_as_it_is() -> None:
    world = await World().begun()
    world.ends_as = TurnState.COMPLETED
    assert await world.cancel() == CancelReceipt(state=TurnState.COMPLETED, tokens_generated=12)


async def test_a_turn_that_had_ended_before_tells_no_closing_and_nobody_else_is_told() -> None:
    world = await World().begun()
    world.ends_as = TurnState.CANCELLED
    world.end()
    assert await world.cancel() == CancelReceipt(state=TurnState.CANCELLED, tokens_generated=12)
    assert world.bus.told == []
    assert world.record.cancel_reason is None


async def test_without_a_confirmation_the_request_stays_and_the_receipt_says_that_it_runs() -> None:
    world = await World(receipt_wait=timedelta(milliseconds=50)).begun()
    world.ends_after = 0
    assert await world.cancel() == RUNNING_STILL
    assert world.record.cancel_reason == "cancel_requested"
    assert await world.cancel() == RUNNING_STILL


async def test_a_database_that_is_away_for_a_moment_delays_the_receipt_and_no_more() -> None:
    world = await World().begun()
    world.reads_fail = 3
    assert (await world.cancel()).state is TurnState.CANCELLED


async def test_what_is_not_there_cannot_be_cancelled() -> None:
    world = await World().begun()
    with pytest.raises(ChatNotFound):
        await world.cancellation.cancel(world.who, ChatId(uuid4()), LATEST)
    with pytest.raises(TurnNotFound):
        await world.cancellation.cancel(world.who, world.chat_id, RequestId(uuid4()))


async def test_who_may_only_read_may_not_cancel() -> None:
    world = await World().begun()
    viewer = replace(world.who, roles=frozenset({"viewer"}))
    with pytest.raises(Forbidden):
        await world.cancellation.cancel(viewer, world.chat_id, LATEST)
    assert world.record.cancel_reason is None


@pytest.mark.parametrize(
    ("tenant", "turn", "epoch", "stops"), [(3, 1, 1, True), (4, 1, 1, False), (3, 2, 1, False), (3, 1, 2, False)]
)
async def test_a_word_stops_the_very_turn_that_was_meant(tenant: int, turn: int, epoch: int, *, stops: bool) -> None:
    brief = a_brief()
    assert (brief.scope.tenant_id.int, brief.turn_id.int, brief.epoch) == (3, 1, 1)
    supervisor = a_supervisor()
    word = StopTurn(
        tenant_id=TenantId(UUID(int=tenant)),
        turn_id=TurnId(UUID(int=turn)),
        epoch=epoch,
        reason=StopReason.CANCEL_REQUESTED,
    )
    async with supervisor.running():
        supervisor.start(brief, FunctionProvider(saying("never", gate=anyio.sleep_forever)), REQUEST)
        stopping_when_told(supervisor)(word)
        with anyio.move_on_after(5 if stops else 0.05) as waiting:
            await supervisor.wait_idle(timedelta(seconds=10))
        assert waiting.cancelled_caught is not stops
        await supervisor.end_all()

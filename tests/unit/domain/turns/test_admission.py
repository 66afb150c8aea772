"""What a send is admitted with, when something changes between two of its looks."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any, cast
from uuid import uuid4

from msgspec.structs import replace

from domain.catalogue.live import LiveCatalogue
from domain.catalogue.models import Estimation
from domain.clock import SystemClock
from domain.quotas.limits import LimitSet
from domain.quotas.models import QuotaRules, Standing
from domain.scope import AccessScope
from domain.streaming.models import StreamLimits
from domain.streaming.supervisor import TurnSupervisor
from domain.switches.board import Switchboard
from domain.switches.ports import Standing as Switched
from domain.telemetry.ports import SilentTelemetry
from domain.turns.admission import Admission, Admitted
from domain.turns.models import Exchange, Gate, SendCommand
from domain.turns.ports import TurnTx
from domain.turns.switch_gate import SwitchGate
from domain.unit_of_work import Access, UnitOfWork
from tests.fakes.turns import MODEL, MemoryBooks
from tests.harness.engine import a_key, a_user

CLOCK = SystemClock()
NOW = datetime(2026, 11, 20, tzinfo=UTC)
DEARER = replace(MODEL, input_tokens_credit_multiplier_micro=2 * MODEL.input_tokens_credit_multiplier_micro)


class NothingSwitched:
    async def standing(self, known: int | None) -> Switched | None:
        return Switched(revision=0, switches=(), age_s=0) if known is None else None


class ReloadedMeanwhile:
    """The reads of a send into a chat; while it waits for the history another catalogue comes into force."""

    def __init__(self, catalogue: LiveCatalogue, gate: Gate) -> None:
        self._catalogue = catalogue
        self._gate = gate

    async def gate(self, *_: Any) -> Gate:
        return self._gate

    async def history(self, *_: Any) -> Sequence[Exchange]:
        self._catalogue.accept((DEARER,), 2, NOW)
        return ()


async def test_the_version_that_a_turn_keeps_is_that_of_its_prices() -> None:
    catalogue = LiveCatalogue((MODEL,), NOW)
    catalogue.accept((MODEL,), 1, NOW)
    command = SendCommand(target=cast("Any", uuid4()), content="Hello")
    gate = Gate(
        chat_id=cast("Any", command.target),
        model=MODEL.id,
        revision=0,
        same_request=None,
        running_request_id=None,
        standing=Standing(now=NOW, limits=LimitSet(), counters={}),
    )

    class Tx:
        turns = ReloadedMeanwhile(catalogue, gate)

    @asynccontextmanager
    async def begin(_scope: AccessScope, _access: Access = Access.WRITE) -> AsyncIterator[Tx]:
        yield Tx()

    board = Switchboard(NothingSwitched())
    await board.refresh()
    supervisor = TurnSupervisor(MemoryBooks(), StreamLimits(), CLOCK.monotonic, SilentTelemetry())
    admission = Admission(
        cast("UnitOfWork[TurnTx]", begin),
        catalogue,
        SwitchGate(board, CLOCK),
        supervisor,
        Estimation(),
        recent_turns=1,
        rules=QuotaRules(),
    )
    who = a_user()
    async with supervisor.running():
        admitted = await admission.admit(AccessScope(tenant_id=who.tenant_id, user_id=who.user_id), command, a_key())
    assert isinstance(admitted, Admitted)
    hold = admitted.claim.hold
    assert (hold.policy_version, hold.prices.input_multiplier_micro) == (1, MODEL.input_tokens_credit_multiplier_micro)

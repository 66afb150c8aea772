"""What a send is admitted with, when something changes between two of its looks."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import cast
from uuid import uuid4

import msgspec
import pytest
from msgspec.structs import replace

from domain.catalogue.live import LiveCatalogue
from domain.catalogue.models import MOST_TOKENS, Estimation, EstimationBudgets, ModelSpec
from domain.clock import SystemClock
from domain.context.history import NO_HISTORY, History
from domain.context.tool_texts import Guards
from domain.errors import InputTooLong
from domain.ids import ChatId, RequestId, TenantId, UserId
from domain.quotas.limits import UNLIMITED_MICRO, Limits, LimitSet, TierLimits
from domain.quotas.models import QuotaRules, Standing
from domain.scope import AccessScope
from domain.streaming.models import StreamLimits
from domain.streaming.supervisor import TurnSupervisor
from domain.summaries.trigger import SummaryRules
from domain.switches.board import Switchboard
from domain.switches.ports import Standing as Switched
from domain.telemetry.ports import SilentTelemetry
from domain.turns.admission import Admission, Admitted
from domain.turns.models import Gate, SendCommand, StoredAnswer
from domain.turns.ports import TurnTx
from domain.turns.switch_gate import SwitchGate
from domain.turns.tool_offers import ToolOffers
from domain.unit_of_work import Access, UnitOfWork
from tests.fakes.providers import FunctionProvider, OneProvider, saying
from tests.fakes.turns import MODEL, MemoryBooks
from tests.harness.engine import a_key

CLOCK = SystemClock()
NOW = datetime(2026, 11, 20, tzinfo=UTC)
DEARER = replace(MODEL, input_tokens_credit_multiplier_micro=2 * MODEL.input_tokens_credit_multiplier_micro)
SCOPE = AccessScope(tenant_id=TenantId(uuid4()), user_id=UserId(uuid4()))
UNLIMITED = QuotaRules(
    defaults=Limits(
        total=TierLimits(limit_daily_credits_micro=UNLIMITED_MICRO, limit_monthly_credits_micro=UNLIMITED_MICRO)
    )
)


class NothingSwitched:
    async def standing(self, known: int | None) -> Switched | None:
        return Switched(revision=0, switches=(), age_s=0) if known is None else None


class Reads:
    """The reads of a send into a chat; what `meanwhile` does happens while it waits for the history."""

    def __init__(self, meanwhile: Callable[[], None]) -> None:
        self._meanwhile = meanwhile

    async def gate(self, chat_id: ChatId, _: RequestId) -> Gate:
        return Gate(
            chat_id=chat_id,
            model=MODEL.id,
            revision=0,
            same_request=None,
            running_request_id=None,
            standing=Standing(now=NOW, limits=LimitSet(), counters={}),
        )

    async def history(self, *_: object) -> History:
        self._meanwhile()
        return NO_HISTORY


class Tx(msgspec.Struct):
    turns: Reads


async def _admitted(
    catalogue: LiveCatalogue, content: str, meanwhile: Callable[[], None] = lambda: None
) -> Admitted | StoredAnswer:
    @asynccontextmanager
    async def begin(_scope: AccessScope, _access: Access = Access.WRITE) -> AsyncIterator[Tx]:
        yield Tx(Reads(meanwhile))

    board = Switchboard(NothingSwitched())
    await board.refresh()
    gate = SwitchGate(board, CLOCK)
    supervisor = TurnSupervisor(MemoryBooks(), StreamLimits(), CLOCK.monotonic, SilentTelemetry())
    admission = Admission(
        cast("UnitOfWork[TurnTx]", begin),
        catalogue,
        OneProvider(FunctionProvider(saying("never"))),
        gate,
        ToolOffers(gate, UNLIMITED.tools, Guards()),
        supervisor,
        Estimation(),
        recent_turns=1,
        summaries=SummaryRules(),
        rules=UNLIMITED,
        telemetry=SilentTelemetry(),
    )
    return await admission.admit(SCOPE, SendCommand(target=ChatId(uuid4()), content=content), a_key())


def _in_force(model: ModelSpec) -> LiveCatalogue:
    catalogue = LiveCatalogue((model,), NOW)
    catalogue.accept((model,), 1, NOW)
    return catalogue


async def test_the_version_that_a_turn_keeps_is_that_of_its_prices() -> None:
    catalogue = _in_force(MODEL)
    admitted = await _admitted(catalogue, "Hello", lambda: catalogue.accept((DEARER,), 2, NOW))
    assert isinstance(admitted, Admitted)
    hold = admitted.claim.hold
    assert (hold.policy_version, hold.prices.input_multiplier_micro) == (1, MODEL.input_tokens_credit_multiplier_micro)


async def test_a_question_too_long_to_be_priced_is_too_long() -> None:
    wasteful = EstimationBudgets(bytes_per_token_conservative=1, safety_margin_pct=200)
    with pytest.raises(InputTooLong):
        await _admitted(_in_force(replace(MODEL, estimation_budgets=wasteful)), "x" * (MOST_TOKENS // 3 + 1))

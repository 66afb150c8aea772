"""What a send is admitted with, when something changes between two of its looks."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
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
from domain.errors import InputTooLong, ProviderUnavailable
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
from domain.turns.planning import Planning
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
    catalogue: LiveCatalogue,
    content: str,
    meanwhile: Callable[[], None] = lambda: None,
    *,
    closed: Mapping[str, timedelta] | None = None,
    rules: QuotaRules = UNLIMITED,
) -> Admitted | StoredAnswer:
    @asynccontextmanager
    async def begin(_scope: AccessScope, _access: Access = Access.WRITE) -> AsyncIterator[Tx]:
        yield Tx(Reads(meanwhile))

    board = Switchboard(NothingSwitched())
    await board.refresh()
    gate = SwitchGate(board, CLOCK)
    supervisor = TurnSupervisor(MemoryBooks(), StreamLimits(), CLOCK.monotonic, SilentTelemetry())
    planning = Planning(
        catalogue,
        OneProvider(FunctionProvider(saying("never")), closed),
        ToolOffers(gate, UNLIMITED.tools, Guards()),
        Estimation(),
        rules,
        SilentTelemetry(),
    )
    admission = Admission(
        cast("UnitOfWork[TurnTx]", begin),
        catalogue,
        gate,
        supervisor,
        planning,
        Estimation(),
        recent_turns=1,
        summaries=SummaryRules(),
    )
    return await admission.admit(SCOPE, SendCommand(target=ChatId(uuid4()), content=content), a_key())


def _in_force(*models: ModelSpec) -> LiveCatalogue:
    catalogue = LiveCatalogue(models, NOW)
    catalogue.accept(models, 1, NOW)
    return catalogue


async def test_the_version_that_a_turn_keeps_is_that_of_its_prices() -> None:
    catalogue = _in_force(MODEL)
    admitted = await _admitted(catalogue, "Hello", lambda: catalogue.accept((DEARER,), 2, NOW))
    assert isinstance(admitted, Admitted)
    hold = admitted.planned.claim.hold
    assert (hold.policy_version, hold.prices.input_multiplier_micro) == (1, MODEL.input_tokens_credit_multiplier_micro)


async def test_a_question_too_long_to_be_priced_is_too_long() -> None:
    wasteful = EstimationBudgets(bytes_per_token_conservative=1, safety_margin_pct=200)
    with pytest.raises(InputTooLong):
        await _admitted(_in_force(replace(MODEL, estimation_budgets=wasteful)), "x" * (MOST_TOKENS // 3 + 1))


WITH_SPARE = replace(MODEL, fallback_model="spare")
SPARE = replace(DEARER, id="spare", provider_id="other")
SOON, LATER = timedelta(seconds=3), timedelta(seconds=8)


def _limited_to(credits_micro: int) -> QuotaRules:
    limit = TierLimits(limit_daily_credits_micro=credits_micro, limit_monthly_credits_micro=UNLIMITED_MICRO)
    return QuotaRules(defaults=Limits(total=limit))


async def test_a_model_with_a_fallback_holds_what_the_dearer_of_both_costs() -> None:
    alone = await _admitted(_in_force(MODEL), "Hello")
    both = await _admitted(_in_force(WITH_SPARE, SPARE), "Hello")
    assert isinstance(alone, Admitted)
    assert isinstance(both, Admitted)
    assert both.planned.spare is not None
    assert both.planned.resolution.effective == WITH_SPARE
    assert both.planned.claim.hold.prices == alone.planned.claim.hold.prices
    assert both.planned.spare.hold.prices.input_multiplier_micro == SPARE.input_tokens_credit_multiplier_micro
    dearer_micro = alone.planned.claim.hold.credits_micro + alone.planned.claim.hold.estimated_input_tokens
    assert both.planned.claim.hold.credits_micro == both.planned.spare.hold.credits_micro == dearer_micro


async def test_who_cannot_pay_for_the_fallback_is_answered_without_one() -> None:
    alone = await _admitted(_in_force(MODEL), "Hello")
    assert isinstance(alone, Admitted)
    hold = alone.planned.claim.hold
    admitted = await _admitted(_in_force(WITH_SPARE, SPARE), "Hello", rules=_limited_to(hold.credits_micro))
    assert isinstance(admitted, Admitted)
    assert (admitted.planned.spare, admitted.planned.claim.hold) == (None, hold)


@pytest.mark.parametrize("spare", [replace(SPARE, enabled=False), replace(SPARE, max_input_tokens=1), None])
async def test_a_fallback_that_cannot_answer_is_none(spare: ModelSpec | None) -> None:
    models = (WITH_SPARE,) if spare is None else (WITH_SPARE, spare)
    admitted = await _admitted(_in_force(*models), "Hello")
    assert isinstance(admitted, Admitted)
    assert admitted.planned.spare is None


async def test_a_fallback_that_is_switched_off_after_the_gates_is_not_offered_any_more() -> None:
    catalogue = _in_force(WITH_SPARE, SPARE)
    admitted = await _admitted(catalogue, "Hello")
    assert isinstance(admitted, Admitted)
    assert admitted.planned.spare is not None
    assert admitted.planned.spare.is_offered()
    catalogue.accept((WITH_SPARE, replace(SPARE, enabled=False)), 2, NOW)
    assert not admitted.planned.spare.is_offered()


@pytest.mark.parametrize(
    ("models", "closed", "wait"),
    [
        ((MODEL,), {"test": SOON}, SOON),
        ((MODEL,), {"other": SOON}, None),
        ((WITH_SPARE, SPARE), {"test": SOON}, None),
        ((WITH_SPARE, SPARE), {"other": SOON}, None),
        ((WITH_SPARE, SPARE), {"test": LATER, "other": SOON}, SOON),
    ],
)
async def test_only_where_no_model_takes_calls_a_send_is_refused(
    models: tuple[ModelSpec, ...], closed: Mapping[str, timedelta], wait: timedelta | None
) -> None:
    if wait is None:
        assert isinstance(await _admitted(_in_force(*models), "Hello", closed=closed), Admitted)
        return
    with pytest.raises(ProviderUnavailable) as refused:
        await _admitted(_in_force(*models), "Hello", closed=closed)
    assert refused.value.retry_after == wait

"""A turn without a store: what it is started with, and books that are kept in memory."""

from collections.abc import Awaitable, Callable
from datetime import date
from uuid import UUID

from anyio.lowlevel import checkpoint
from msgspec.structs import replace

from domain.catalogue.models import Estimation, ModelSpec
from domain.catalogue.resolver import Resolution
from domain.clock import SystemClock
from domain.ids import ChatId, MessageId, RequestId, TenantId, TurnId, UserId
from domain.providers.request import ProviderRequest, Purpose, UserText
from domain.quotas.credits import Prices
from domain.quotas.models import Hold, QuotaRules
from domain.scope import AccessScope
from domain.streaming.events import Done, TurnError
from domain.streaming.models import StopReason
from domain.streaming.ports import Closing, OnDisconnect, TurnBrief
from domain.telemetry.trace_context import TraceContext
from domain.turns.outcome import result_of, terminal_of

MODEL = ModelSpec(id="aurora-large", provider_id="test", provider_model_id="remote")
TRACE = TraceContext(trace_id="4bf92f3577b34da6a3ce929d0e0e4736", span_id="00f067aa0ba902b7", sampled=True)

REQUEST = ProviderRequest(
    purpose=Purpose.CHAT,
    model="remote",
    catalog_model="aurora-large",
    instructions=None,
    items=(UserText("Hello"),),
    max_output_tokens=100,
)


A_HOLD = Hold(
    credits_micro=4_216,
    tier=MODEL.tier,
    prices=Prices(input_multiplier_micro=1_000_000, output_multiplier_micro=1_000_000),
    estimated_input_tokens=120,
    max_output_tokens=MODEL.max_output_tokens,
    generation_floor=50,
    day=date(2026, 3, 31),
    month=date(2026, 3, 1),
    in_tenant_buckets=False,
)


def a_brief(*, turn: int = 1, on_disconnect: OnDisconnect = OnDisconnect.CANCEL, model: ModelSpec = MODEL) -> TurnBrief:
    return TurnBrief(
        turn_id=TurnId(UUID(int=turn)),
        chat_id=ChatId(UUID(int=2)),
        scope=AccessScope(tenant_id=TenantId(UUID(int=3)), user_id=UserId(UUID(int=4))),
        request_id=RequestId(UUID("0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01")),
        message_id=MessageId(UUID("0198c0de-7a11-7d40-8c2e-6e3b5f708b12")),
        epoch=1,
        on_disconnect=on_disconnect,
        resolution=Resolution(selected_model=model.id, effective=model),
        hold=A_HOLD,
        trace=TRACE,
        started=SystemClock().monotonic(),
    )


def resolved(brief: TurnBrief, resolution: Resolution) -> TurnBrief:
    return replace(brief, resolution=resolution)


class MemoryBooks:
    """Fills the port Books: tells what the real one tells, after `commit` has returned."""

    def __init__(self, commit: Callable[[], Awaitable[object]] = checkpoint) -> None:
        self.closings: list[Closing] = []
        self.committed = 0
        self.gone_over: list[str] = []
        self._commit = commit

    async def finish(self, closing: Closing) -> Done | TurnError:
        self.closings.append(closing)
        await self._commit()
        self.committed += 1
        return terminal_of(closing, result_of(closing, Estimation(), QuotaRules(), SystemClock()), ())

    async def may_call(self, brief: TurnBrief) -> StopReason | None:
        return None

    async def may_call_instead(self, brief: TurnBrief) -> StopReason | None:
        self.gone_over.append(brief.resolution.effective.id)
        return None

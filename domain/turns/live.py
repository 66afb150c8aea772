"""The running turns of all tenants, for operators (api.md 3.11): which there are, and an end for one of them."""

from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from domain.audit.administration import admin_event, platform_scope
from domain.audit.events import EventType
from domain.audit.ports import EventTx
from domain.auth.administration import on_record
from domain.auth.policy import Action, Policy
from domain.clock import Clock
from domain.errors import ChatNotFound, TurnNotFound
from domain.filters import Field, Kind, ListShape, OrderKey
from domain.ids import ChatId, OwnerId, RequestId, TenantId, TurnId, UserId
from domain.pagination import Page, PageQuery
from domain.scope import AccessScope
from domain.streaming.models import StopReason
from domain.streaming.ports import OnDisconnect
from domain.subject import Subject
from domain.turns.cancellation import Cancellation, CancelReceipt
from domain.unit_of_work import UnitOfWork

_TURN_ID: Final = Field("turn_id", Kind.UUID)
_STARTED_AT: Final = Field("started_at", Kind.TIME)

LIVE_TURN_LIST: Final = ListShape(
    fields=(
        _TURN_ID,
        Field("tenant_id", Kind.UUID),
        Field("user_id", Kind.UUID),
        Field("chat_id", Kind.UUID),
        Field("request_id", Kind.UUID),
        Field("effective_model", Kind.STRING),
        Field("provider_id", Kind.STRING),
        _STARTED_AT,
    ),
    unique=_TURN_ID,
    default_order=(OrderKey(_STARTED_AT, descending=True), OrderKey(_TURN_ID, descending=True)),
)


class Phase(StrEnum):
    """As far as rows tell: STREAMING once text of it was saved, FINALIZING once somebody asked for its end."""

    STARTING = "starting"
    STREAMING = "streaming"
    FINALIZING = "finalizing"


class LiveTurn(msgspec.Struct, frozen=True, kw_only=True):
    """`last_progress_at` is when text of it was last saved, which happens with each beat of its owner."""

    turn_id: TurnId
    tenant_id: TenantId
    user_id: UserId
    chat_id: ChatId
    request_id: RequestId
    effective_model: str
    provider_id: str
    phase: Phase
    on_disconnect: OnDisconnect
    started_at: datetime
    last_progress_at: datetime
    lease_until: datetime
    owner_id: OwnerId
    owner_epoch: int


class LiveTurnList(Protocol):
    async def page(self, query: PageQuery) -> Page[LiveTurn]:
        """Raises ServiceUnavailable, InvalidCursor."""
        ...

    async def find(self, turn_id: TurnId) -> LiveTurn | None:
        """None once it has ended. Raises ServiceUnavailable."""
        ...


class LiveTurnService:
    def __init__(
        self,
        begin: UnitOfWork[EventTx],
        turns: LiveTurnList,
        policy: Policy,
        cancellation: Cancellation,
        clock: Clock,
    ) -> None:
        self._begin = begin
        self._turns = turns
        self._policy = policy
        self._cancellation = cancellation
        self._clock = clock

    async def page(self, who: Subject, query: PageQuery) -> Page[LiveTurn]:
        self._policy.require(who, Action.LIST_LIVE_TURNS)
        with on_record(who, Action.LIST_LIVE_TURNS, "turns"):
            return await self._turns.page(query)

    async def abort(self, who: Subject, turn_id: TurnId, reason: str) -> CancelReceipt:
        """Its readers are told `turn_cancelled`. Raises TurnNotFound once it has ended, ServiceUnavailable."""
        self._policy.require(who, Action.ABORT_TURN)
        with on_record(who, Action.ABORT_TURN, f"turn:{turn_id}"):
            turn = await self._turns.find(turn_id)
            if turn is None:
                raise TurnNotFound
            await self._note(who, turn, reason)
            scope = AccessScope(tenant_id=turn.tenant_id, user_id=turn.user_id)
            try:
                return await self._cancellation.end(
                    scope, turn.chat_id, turn.request_id, StopReason.OPERATOR_ABORT, trigger="operator"
                )
            except ChatNotFound:
                raise TurnNotFound from None

    async def _note(self, who: Subject, turn: LiveTurn, reason: str) -> None:
        """As everything that operators do, it is in the books of the platform."""
        details = {"aborted_turn": turn.turn_id, "aborted_tenant": turn.tenant_id, "reason": reason}
        event = admin_event(EventType.TURN_ABORTED, who, self._clock.now(), details)
        async with self._begin(platform_scope(who)) as tx:
            await tx.events.add(event)

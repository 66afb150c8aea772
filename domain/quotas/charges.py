"""What somebody was charged, turn by turn (api.md 3.9)."""

from datetime import datetime
from typing import Final, Protocol

import msgspec

from domain.auth.policy import Action, Policy
from domain.filters import Field, Kind, ListShape, OrderKey
from domain.ids import ChatId, RequestId
from domain.pagination import Page, PageQuery
from domain.quotas.models import UsageSource
from domain.scope import scope_for
from domain.subject import Subject
from domain.unit_of_work import Access, UnitOfWork

_ID: Final = Field("id", Kind.UUID)
_CREATED_AT: Final = Field("created_at", Kind.TIME)

CHARGE_LIST: Final = ListShape(
    fields=(
        _ID,
        _CREATED_AT,
        Field("model", Kind.STRING),
        Field("kind", Kind.STRING),
        Field("outcome", Kind.STRING),
        Field("chat_id", Kind.UUID, nullable=True),
    ),
    unique=_ID,
    default_order=(OrderKey(_CREATED_AT, descending=True), OrderKey(_ID, descending=True)),
)


class Charge(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn that called a provider came to. `created_at` is when it was settled."""

    id: str
    kind: str
    chat_id: ChatId | None
    request_id: RequestId | None
    model: str
    outcome: str
    input_tokens: int
    output_tokens: int
    source: UsageSource
    credits_micro: int
    created_at: datetime


class Charges(Protocol):
    """Sees the charges of the scope's user, nobody else's; turns that called nobody are none."""

    async def page(self, query: PageQuery) -> Page[Charge]:
        """Without an order the newest first. Raises InvalidCursor for keys of another kind."""
        ...


class ChargeTx(Protocol):
    @property
    def charges(self) -> Charges: ...


class ChargeService:
    def __init__(self, begin: UnitOfWork[ChargeTx], policy: Policy) -> None:
        self._begin = begin
        self._policy = policy

    async def list(self, who: Subject, query: PageQuery) -> Page[Charge]:
        """Raises InvalidCursor."""
        self._policy.require(who, Action.LIST_USAGE)
        async with self._begin(scope_for(who), Access.LIST) as tx:
            return await tx.charges.page(query)

"""What was charged over a span of time, summed for administrators across tenants (api.md 3.11)."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

import msgspec

from domain.auth.administration import on_record
from domain.auth.policy import Action, Policy
from domain.filters import Field, Kind, ListShape, OrderKey
from domain.ids import TenantId, UserId
from domain.pagination import Page, PageQuery
from domain.subject import Subject


class Grouping(StrEnum):
    TENANT = "tenant"
    USER = "user"
    MODEL = "model"
    DAY = "day"


_FIELDS: Final[Mapping[Grouping, Field]] = {
    Grouping.TENANT: Field("tenant_id", Kind.UUID),
    Grouping.USER: Field("user_id", Kind.UUID),
    Grouping.MODEL: Field("model", Kind.STRING),
    Grouping.DAY: Field("day", Kind.STRING),
}


class UsageSpan(msgspec.Struct, frozen=True, kw_only=True):
    """Charges from `start` on and before `end`, by when they were settled, of whom and what is named."""

    start: datetime
    end: datetime
    group_by: tuple[Grouping, ...] = (Grouping.TENANT,)
    tenant_id: TenantId | None = None
    user_id: UserId | None = None
    model: str | None = None

    @property
    def shape(self) -> ListShape:
        """All the keys together tell one group from all others."""
        fields = tuple(_FIELDS[grouping] for grouping in self.group_by)
        return ListShape(fields=fields, unique=fields[-1], default_order=tuple(map(OrderKey, fields)))


class UsageSum(msgspec.Struct, frozen=True, kw_only=True):
    """`keys` has a value for each grouping that was asked for, a day as `YYYY-MM-DD` in UTC.

    `turns` are those that called a provider.
    """

    keys: Mapping[Grouping, str]
    turns: int
    input_tokens: int
    output_tokens: int
    credits_micro: int


class UsageSums(Protocol):
    async def page(self, span: UsageSpan, query: PageQuery) -> Page[UsageSum]:
        """Ordered by the groups' keys, each group once. Raises ServiceUnavailable, InvalidCursor."""
        ...


class UsageReports:
    def __init__(self, sums: UsageSums, policy: Policy) -> None:
        self._sums = sums
        self._policy = policy

    async def page(self, who: Subject, span: UsageSpan, query: PageQuery) -> Page[UsageSum]:
        self._policy.require(who, Action.SUM_USAGE)
        with on_record(who, Action.SUM_USAGE, f"tenant:{span.tenant_id or 'all'}"):
            return await self._sums.page(span, query)

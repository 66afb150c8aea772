"""Charges of all tenants, summed, over HTTP, for administrators (api.md 3.11)."""

from typing import Any, Self

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from msgspec import UNSET, UnsetType

from api.rest.cursor import Cursors
from api.rest.endpoint import endpoint
from api.rest.page_out import PageOut
from api.rest.quotas.usage_options import SPAN_OPTIONS, UsageListing
from api.rest.wire_types import Day, Id
from domain.auth.policy import Action
from domain.errors import InvalidCursor, InvalidLimit
from domain.quotas.usage_sums import Grouping, UsageReports, UsageSum
from domain.subject import Subject


class UsageSumOut(msgspec.Struct, frozen=True, kw_only=True):
    """The keys are those of `group_by`; `turns` are those that called a provider."""

    tenant_id: Id | UnsetType = UNSET
    user_id: Id | UnsetType = UNSET
    model: str | UnsetType = UNSET
    day: Day | UnsetType = UNSET
    turns: int
    input_tokens: int
    output_tokens: int
    credits_micro: int

    @classmethod
    def of(cls, group: UsageSum) -> Self:
        return cls(
            tenant_id=group.keys.get(Grouping.TENANT, UNSET),
            user_id=group.keys.get(Grouping.USER, UNSET),
            model=group.keys.get(Grouping.MODEL, UNSET),
            day=group.keys.get(Grouping.DAY, UNSET),
            turns=group.turns,
            input_tokens=group.input_tokens,
            output_tokens=group.output_tokens,
            credits_micro=group.credits_micro,
        )


class UsageSumPageOut(PageOut[UsageSumOut], frozen=True, kw_only=True):
    pass


class UsageReportController(Controller):
    path = "/admin/usage"
    tags = ("Administration",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.sum_usage",
        summary="Sum what was charged, by tenant, user, model and day",
        opt=endpoint(Action.SUM_USAGE, InvalidCursor, InvalidLimit, options=SPAN_OPTIONS),
    )
    async def sum_usage(
        self,
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        usage_reports: NamedDependency[UsageReports],
        cursors: NamedDependency[Cursors],
    ) -> Response[UsageSumPageOut]:
        listing = UsageListing(request, cursors, subject)
        page = await usage_reports.page(subject, listing.span, listing.query)
        return listing.pages.answer(UsageSumPageOut, page, tuple(map(UsageSumOut.of, page.items)))

"""The caller's charges over HTTP (api.md 3.9)."""

from typing import Any, Final, Literal, Self

import msgspec
from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from msgspec import UNSET, UnsetType

from api.rest.cursor import Cursors
from api.rest.endpoint import endpoint
from api.rest.list_spec import NO_OWN_OPTIONS, ListSpec
from api.rest.listing import Listing
from api.rest.page_out import PageOut
from api.rest.wire_types import Id, Moment
from domain.auth.policy import Action
from domain.clock import utc_text
from domain.quotas.charges import CHARGE_LIST, Charge, ChargeService
from domain.subject import Subject


class ChargeOut(msgspec.Struct, frozen=True, kw_only=True):
    """One turn that called a provider; `source` says who counted its tokens."""

    id: Id
    kind: Literal["turn", "title", "summary"]
    chat_id: Id | None
    request_id: Id | UnsetType = UNSET
    model: str
    outcome: Literal["completed", "failed", "cancelled"]
    input_tokens: int
    output_tokens: int
    source: Literal["reported", "estimated"]
    credits_micro: int
    created_at: Moment

    @classmethod
    def of(cls, charge: Charge) -> Self:
        return msgspec.convert(
            {
                "id": charge.id,
                "kind": charge.kind,
                "chat_id": None if charge.chat_id is None else str(charge.chat_id),
                "request_id": UNSET if charge.request_id is None else str(charge.request_id),
                "model": charge.model,
                "outcome": charge.outcome,
                "input_tokens": charge.input_tokens,
                "output_tokens": charge.output_tokens,
                "source": charge.source.value,
                "credits_micro": charge.credits_micro,
                "created_at": utc_text(charge.created_at),
            },
            cls,
        )


class ChargePageOut(PageOut[ChargeOut], frozen=True, kw_only=True):
    pass


CHARGES: Final = ListSpec(resource="usage", shape=CHARGE_LIST, item=ChargeOut, own=NO_OWN_OPTIONS)


class UsageController(Controller):
    path = "/usage"
    tags = ("Credits",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.list_usage",
        summary="List what you were charged, newest first",
        opt=endpoint(Action.LIST_USAGE, lists=CHARGES),
    )
    async def list_usage(
        self,
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        charges: NamedDependency[ChargeService],
        cursors: NamedDependency[Cursors],
    ) -> Response[ChargePageOut]:
        listing = Listing(request, cursors, CHARGES, subject)
        page = await charges.list(subject, listing.query)
        return listing.answer(ChargePageOut, page, ChargeOut.of)

"""The running turns of all tenants over HTTP, for administrators (api.md 3.11)."""

from typing import Annotated, Any, Final, Self
from uuid import UUID

import msgspec
from litestar import Controller, Request, Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from api.rest.cursor import Cursors
from api.rest.endpoint import endpoint
from api.rest.list_spec import NO_OWN_OPTIONS, ListSpec
from api.rest.listing import Listing
from api.rest.page_out import PageOut
from api.rest.turns.cancelling import CancelReceiptOut
from api.rest.wire_types import Id, Moment
from domain.auth.policy import Action
from domain.clock import utc_text
from domain.errors import TurnNotFound
from domain.ids import TurnId
from domain.streaming.ports import OnDisconnect
from domain.subject import Subject
from domain.turns.live import LIVE_TURN_LIST, LiveTurn, LiveTurnService, Phase


class LiveTurnOut(msgspec.Struct, frozen=True, kw_only=True):
    turn_id: Id
    tenant_id: Id
    user_id: Id
    chat_id: Id
    request_id: Id
    effective_model: str
    provider_id: str
    phase: Phase
    on_disconnect: OnDisconnect
    started_at: Moment
    last_progress_at: Moment
    lease_until: Moment
    owner_id: Id
    owner_epoch: int

    @classmethod
    def of(cls, turn: LiveTurn) -> Self:
        return cls(
            turn_id=str(turn.turn_id),
            tenant_id=str(turn.tenant_id),
            user_id=str(turn.user_id),
            chat_id=str(turn.chat_id),
            request_id=str(turn.request_id),
            effective_model=turn.effective_model,
            provider_id=turn.provider_id,
            phase=turn.phase,
            on_disconnect=turn.on_disconnect,
            started_at=utc_text(turn.started_at),
            last_progress_at=utc_text(turn.last_progress_at),
            lease_until=utc_text(turn.lease_until),
            owner_id=str(turn.owner_id),
            owner_epoch=turn.owner_epoch,
        )


class LiveTurnPageOut(PageOut[LiveTurnOut], frozen=True, kw_only=True):
    pass


class AbortIn(msgspec.Struct, frozen=True, kw_only=True):
    reason: Annotated[str, Meta(min_length=1, max_length=500)]


class AbortReceiptOut(CancelReceiptOut, frozen=True, kw_only=True):
    turn_id: Id


LIVE_TURNS: Final = ListSpec(
    resource="live_turns", shape=LIVE_TURN_LIST, item=LiveTurnOut, own=NO_OWN_OPTIONS, always="turn_id"
)


class LiveTurnController(Controller):
    path = "/admin/turns"
    tags = ("Administration",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.list_live_turns",
        summary="List the running turns of all tenants, newest first",
        opt=endpoint(Action.LIST_LIVE_TURNS, lists=LIVE_TURNS),
    )
    async def list_live_turns(
        self,
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        live_turns: NamedDependency[LiveTurnService],
        cursors: NamedDependency[Cursors],
    ) -> Response[LiveTurnPageOut]:
        listing = Listing(request, cursors, LIVE_TURNS, subject)
        page = await live_turns.page(subject, listing.query)
        return listing.answer(LiveTurnPageOut, page, LiveTurnOut.of)

    @post(
        "/{turn_id:str}/abort",
        status_code=200,
        operation_id="mini_chat.abort_turn",
        summary="End a running turn of any tenant and wait for its end",
        opt=endpoint(Action.ABORT_TURN, TurnNotFound),
    )
    async def abort_turn(
        self,
        turn_id: FromPath[UUID],
        data: JSONBody[AbortIn],
        subject: NamedDependency[Subject],
        live_turns: NamedDependency[LiveTurnService],
    ) -> AbortReceiptOut:
        receipt = await live_turns.abort(subject, TurnId(turn_id), data.reason)
        return AbortReceiptOut(turn_id=str(turn_id), **msgspec.structs.asdict(CancelReceiptOut.of(receipt)))

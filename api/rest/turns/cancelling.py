"""Cancelling a turn over HTTP (api.md 3.5)."""

from typing import Self

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.rest.endpoint import endpoint
from api.rest.turns.turn_names import TurnSegment, turn_named
from domain.auth.policy import Action
from domain.errors import ChatNotFound, TurnNotFound
from domain.ids import ChatId
from domain.subject import Subject
from domain.turns.cancellation import Cancellation, CancelReceipt
from domain.turns.models import PUBLIC_STATES


class CancelReceiptOut(msgspec.Struct, frozen=True, kw_only=True):
    """`running`: the end is not confirmed yet, and the request stays in force."""

    state: str
    upstream_closed_ms: int | None
    tokens_generated: int
    credits_charged_micro: int
    credits_released_micro: int

    @classmethod
    def of(cls, receipt: CancelReceipt) -> Self:
        return cls(
            state=PUBLIC_STATES[receipt.state],
            upstream_closed_ms=receipt.upstream_closed_ms,
            tokens_generated=receipt.tokens_generated,
            credits_charged_micro=receipt.charged_micro,
            credits_released_micro=receipt.released_micro,
        )


class CancelController(Controller):
    path = "/chats/{chat_id:str}/turns/{request_id:str}"
    tags = ("Turns",)

    @post(
        "/cancel",
        status_code=200,
        operation_id="mini_chat.cancel_turn",
        summary="Cancel a running turn and wait for its end",
        opt=endpoint(Action.CANCEL_TURN, ChatNotFound, TurnNotFound),
    )
    async def cancel_turn(
        self,
        chat_id: FromPath[ChatId],
        request_id: FromPath[TurnSegment],
        subject: NamedDependency[Subject],
        cancellation: NamedDependency[Cancellation],
    ) -> CancelReceiptOut:
        return CancelReceiptOut.of(await cancellation.cancel(subject, chat_id, turn_named(request_id)))

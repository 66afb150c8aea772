"""Changing the newest turn of a chat over HTTP: retry, edit, delete (api.md 3.5)."""

from typing import Any, Final

from litestar import Controller, Request, delete, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.rest.endpoint import endpoint
from api.rest.gate import subject_of
from api.rest.turns.controller import Sending
from api.rest.turns.idempotency import idempotency_key
from api.rest.turns.schemas import EditIn, RetryIn
from api.rest.turns.turn_names import TurnSegment, turn_named
from api.streaming.response import TurnStreamResponse
from domain.auth.policy import Action
from domain.errors import (
    ChatNotFound,
    ContextBudgetExceeded,
    DomainError,
    GenerationDisabled,
    GenerationInProgress,
    InputTooLong,
    InvalidModel,
    InvalidTurnState,
    NotLatestTurn,
    ProviderUnavailable,
    RequestIdConflict,
    RequestIdReused,
    TooManyActiveTurns,
    TurnNotFound,
    WebSearchDisabled,
)
from domain.ids import ChatId
from domain.subject import Subject
from domain.telemetry.correlation import current_trace
from domain.turns.mutations import ChangeCommand
from domain.turns.removal import TurnRemoval

_ON_THE_TURN: tuple[type[DomainError], ...] = (ChatNotFound, TurnNotFound, InvalidTurnState, NotLatestTurn)
_REFUSALS: tuple[type[DomainError], ...] = (
    *_ON_THE_TURN,
    RequestIdConflict,
    RequestIdReused,
    GenerationInProgress,
    GenerationDisabled,
    WebSearchDisabled,
    TooManyActiveTurns,
    InvalidModel,
    InputTooLong,
    ContextBudgetExceeded,
    ProviderUnavailable,
)
_AS_IT_WAS: Final = RetryIn()


class TurnChangeController(Controller):
    path = "/chats/{chat_id:str}/turns/{request_id:str}"
    tags = ("Turns",)

    @post(
        "/retry",
        status_code=200,
        operation_id="mini_chat.retry_turn",
        summary="Ask the newest question again and stream the new answer",
        opt=endpoint(Action.RETRY_TURN, *_REFUSALS, starts_work=True, streams=True),
    )
    async def retry_turn(
        self,
        chat_id: FromPath[ChatId],
        request_id: FromPath[TurnSegment],
        request: Request[Any, Any, Any],
        sending: NamedDependency[Sending],
        data: JSONBody[RetryIn] = _AS_IT_WAS,
    ) -> TurnStreamResponse:
        key = idempotency_key(request.headers)
        return await _streamed(request, sending, data.command(chat_id, turn_named(request_id), key))

    @patch(
        "",
        status_code=200,
        operation_id="mini_chat.edit_turn",
        summary="Put another question in place of the newest one and stream the answer",
        opt=endpoint(Action.EDIT_TURN, *_REFUSALS, starts_work=True, streams=True),
    )
    async def edit_turn(
        self,
        chat_id: FromPath[ChatId],
        request_id: FromPath[TurnSegment],
        request: Request[Any, Any, Any],
        data: JSONBody[EditIn],
        sending: NamedDependency[Sending],
    ) -> TurnStreamResponse:
        key = idempotency_key(request.headers)
        return await _streamed(request, sending, data.command(chat_id, turn_named(request_id), key))

    @delete(
        "",
        status_code=204,
        operation_id="mini_chat.delete_turn",
        summary="Delete the newest turn with both its messages",
        opt=endpoint(Action.DELETE_TURN, *_ON_THE_TURN),
    )
    async def delete_turn(
        self,
        chat_id: FromPath[ChatId],
        request_id: FromPath[TurnSegment],
        subject: NamedDependency[Subject],
        removal: NamedDependency[TurnRemoval],
    ) -> None:
        await removal.remove(subject, chat_id, turn_named(request_id))


async def _streamed(request: Request[Any, Any, Any], sending: Sending, change: ChangeCommand) -> TurnStreamResponse:
    conversation = await sending.turns.change(subject_of(request), change, current_trace())
    return TurnStreamResponse(conversation.reader, sending.keep_alive)

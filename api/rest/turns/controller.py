"""Sending messages over HTTP: four routes, one engine (api.md 3.4)."""

from typing import Any

import anyio
import msgspec
from litestar import Controller, Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.rest.endpoint import endpoint
from api.rest.gate import subject_of
from api.rest.turns.idempotency import idempotency_key
from api.rest.turns.schemas import MessageResultOut, NewChatSendIn, SendIn
from api.streaming.disconnect import client_gone
from api.streaming.response import KeepAlive, TurnStreamResponse
from domain.auth.policy import Action
from domain.errors import (
    ChatNotFound,
    ContextBudgetExceeded,
    DomainError,
    GenerationDisabled,
    GenerationInProgress,
    InputTooLong,
    InvalidAttachment,
    InvalidModel,
    ProviderUnavailable,
    RequestIdConflict,
    RequestIdReused,
    ServiceUnavailable,
    TooManyActiveTurns,
    WebSearchDisabled,
)
from domain.ids import ChatId
from domain.telemetry.correlation import current_trace
from domain.turns.models import SendCommand
from domain.turns.service import Conversation, TurnService, UnaryAnswer

_REFUSALS: tuple[type[DomainError], ...] = (
    ChatNotFound,
    RequestIdConflict,
    RequestIdReused,
    GenerationInProgress,
    TooManyActiveTurns,
    InvalidAttachment,
    GenerationDisabled,
    WebSearchDisabled,
    InvalidModel,
    InputTooLong,
    ContextBudgetExceeded,
    ProviderUnavailable,
)


class Sending(msgspec.Struct, frozen=True, kw_only=True):
    """What these handlers need, as one dependency: several would be resolved in a task each, for every send."""

    turns: TurnService
    keep_alive: KeepAlive


class SendController(Controller):
    """Into a chat that exists."""

    path = "/chats/{chat_id:str}"
    tags = ("Messages",)

    @post(
        "/messages:stream",
        status_code=200,
        operation_id="mini_chat.stream_message",
        summary="Send a message and stream the answer",
        opt=endpoint(Action.SEND_MESSAGE, *_REFUSALS, starts_work=True, streams=True),
    )
    async def stream_message(
        self,
        chat_id: FromPath[ChatId],
        request: Request[Any, Any, Any],
        data: JSONBody[SendIn],
        sending: NamedDependency[Sending],
    ) -> TurnStreamResponse:
        conversation = await sending.turns.send(
            subject_of(request), data.command(chat_id, idempotency_key(request.headers)), current_trace()
        )
        return TurnStreamResponse(conversation.reader, sending.keep_alive)

    @post(
        "/messages",
        status_code=200,
        operation_id="mini_chat.send_message",
        summary="Send a message and wait for the answer",
        opt=endpoint(Action.SEND_MESSAGE, *_REFUSALS, starts_work=True, turn_codes=True),
    )
    async def send_message(
        self,
        chat_id: FromPath[ChatId],
        request: Request[Any, Any, Any],
        data: JSONBody[SendIn],
        sending: NamedDependency[Sending],
    ) -> MessageResultOut:
        unary = await _answered(sending.turns, data.command(chat_id, idempotency_key(request.headers)), request)
        return MessageResultOut.of(unary)


class CreateAndSendController(Controller):
    """Into a chat that comes into being with its first message."""

    path = "/"
    tags = ("Messages",)

    @post(
        "/chats:stream",
        status_code=200,
        operation_id="mini_chat.create_chat_and_stream",
        summary="Create a chat with its first message and stream the answer",
        opt=endpoint(Action.SEND_MESSAGE, *_REFUSALS, starts_work=True, streams=True),
    )
    async def create_chat_and_stream(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[NewChatSendIn],
        sending: NamedDependency[Sending],
    ) -> TurnStreamResponse:
        conversation = await sending.turns.send(
            subject_of(request), data.command(data.draft(), idempotency_key(request.headers)), current_trace()
        )
        headers = _chat_headers(request, conversation.chat_id)
        extra = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        return TurnStreamResponse(conversation.reader, sending.keep_alive, extra)

    @post(
        "/chats:send",
        status_code=200,
        operation_id="mini_chat.create_chat_and_send",
        summary="Create a chat with its first message and wait for the answer",
        opt=endpoint(Action.SEND_MESSAGE, *_REFUSALS, starts_work=True, turn_codes=True),
    )
    async def create_chat_and_send(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[NewChatSendIn],
        sending: NamedDependency[Sending],
    ) -> Response[MessageResultOut]:
        unary = await _answered(sending.turns, data.command(data.draft(), idempotency_key(request.headers)), request)
        return Response(MessageResultOut.of(unary), headers=_chat_headers(request, unary.answer.chat_id))


async def _answered(turns: TurnService, command: SendCommand, request: Request[Any, Any, Any]) -> UnaryAnswer:
    """Losing the connection while waiting counts as a disconnect, as it does on a stream."""
    subject, trace = subject_of(request), current_trace()
    conversation = await turns.send(subject, command, trace)
    answer: UnaryAnswer | DomainError = ServiceUnavailable()
    try:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_leave_when_gone, request, conversation)
            try:
                answer = await turns.outcome(subject, conversation, trace)
            except DomainError as refusal:
                # Raised further out: the task group would wrap it.
                answer = refusal
            tasks.cancel_scope.cancel()
    finally:
        conversation.reader.leave()
    if isinstance(answer, DomainError):
        raise answer
    return answer


async def _leave_when_gone(request: Request[Any, Any, Any], conversation: Conversation) -> None:
    await client_gone(request.receive)
    conversation.reader.leave()


def _chat_headers(request: Request[Any, Any, Any], chat_id: ChatId) -> dict[str, str]:
    collection, _, _ = request.scope["path"].rpartition(":")
    return {"Location": f"{collection}/{chat_id}", "X-Chat-Id": str(chat_id)}

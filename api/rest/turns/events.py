"""Attaching to a turn and resuming its stream over HTTP (api.md 4.6)."""

from typing import Any

import msgspec
from litestar import Controller, Request, get
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response.base import ASGIResponse
from litestar.types import ASGIApp

from api.rest.endpoint import endpoint
from api.rest.gate import subject_of
from api.rest.turns.position import position_of
from api.rest.turns.turn_names import TurnSegment, turn_named
from api.streaming.response import KeepAlive, TurnStreamResponse
from domain.auth.policy import Action
from domain.errors import ChatNotFound, RateLimited, TurnNotFound
from domain.ids import ChatId
from domain.turns.attaching import Attaching

_NO_CONTENT = 204


class Resuming(msgspec.Struct, frozen=True, kw_only=True):
    """What the handler needs, as one dependency."""

    attaching: Attaching
    keep_alive: KeepAlive


class TurnEventsController(Controller):
    path = "/chats/{chat_id:str}/turns/{request_id:str}/events"
    tags = ("Turns",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.turn_events",
        summary="Follow a turn from its beginning or from after an event, or be told again how it went",
        opt=endpoint(Action.READ_TURN, ChatNotFound, TurnNotFound, RateLimited, streams=True, resumes=True),
    )
    async def turn_events(
        self,
        chat_id: FromPath[ChatId],
        request_id: FromPath[TurnSegment],
        request: Request[Any, Any, Any],
        resuming: NamedDependency[Resuming],
    ) -> ASGIApp:
        position = position_of(request.headers, request.scope["query_string"])
        name = turn_named(request_id)
        reader = await resuming.attaching.attach(subject_of(request), chat_id, name, position)
        if reader is None:
            return ASGIResponse(status_code=_NO_CONTENT)
        return TurnStreamResponse(reader, resuming.keep_alive, position=position)

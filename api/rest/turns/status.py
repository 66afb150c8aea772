"""Reading what became of a turn over HTTP (api.md 3.5)."""

from litestar import Controller, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.rest.endpoint import endpoint
from api.rest.turns.turn_names import TurnSegment, turn_named
from api.rest.turns.turn_out import TurnOut
from domain.auth.policy import Action
from domain.errors import ChatNotFound, TurnNotFound
from domain.ids import ChatId
from domain.subject import Subject
from domain.turns.status import TurnStatuses


class TurnStatusController(Controller):
    path = "/chats/{chat_id:str}/turns/{request_id:str}"
    tags = ("Turns",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.get_turn",
        summary="Read what became of a turn, deleted and replaced ones too",
        opt=endpoint(Action.READ_TURN, ChatNotFound, TurnNotFound),
    )
    async def get_turn(
        self,
        chat_id: FromPath[ChatId],
        request_id: FromPath[TurnSegment],
        subject: NamedDependency[Subject],
        statuses: NamedDependency[TurnStatuses],
    ) -> TurnOut:
        return TurnOut.of(await statuses.read(subject, chat_id, turn_named(request_id)))

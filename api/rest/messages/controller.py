"""Reading messages over HTTP (api.md 3.4)."""

from typing import Any, Final

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.rest.cursor import Cursors
from api.rest.endpoint import endpoint
from api.rest.list_spec import NO_OWN_OPTIONS, ListSpec
from api.rest.listing import Listing
from api.rest.messages.schemas import MessageOut, MessagePageOut
from domain.auth.policy import Action
from domain.errors import ChatNotFound
from domain.ids import ChatId
from domain.messages.listing import MESSAGE_LIST
from domain.messages.service import MessageService
from domain.subject import Subject

MESSAGES: Final = ListSpec(
    resource="messages",
    shape=MESSAGE_LIST,
    item=MessageOut,
    own=NO_OWN_OPTIONS,
    sources={"status": "is_partial"},
)


class MessageController(Controller):
    path = "/chats/{chat_id:str}/messages"
    tags = ("Messages",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.list_messages",
        summary="List the messages of a chat in the order they were said",
        opt=endpoint(Action.LIST_MESSAGES, ChatNotFound, lists=MESSAGES),
    )
    async def list_messages(
        self,
        chat_id: FromPath[ChatId],
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        messages: NamedDependency[MessageService],
        cursors: NamedDependency[Cursors],
    ) -> Response[MessagePageOut]:
        listing = Listing(request, cursors, MESSAGES, subject, parent=chat_id)
        page = await messages.list(subject, chat_id, listing.query)
        return listing.answer(MessagePageOut, page, MessageOut.of)

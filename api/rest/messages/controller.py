"""Reading messages over HTTP (api.md 3.4)."""

from typing import Any

from litestar import Controller, Request, Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from api.rest.cursor import Cursors, ListName
from api.rest.endpoint import endpoint
from api.rest.listing import Listing
from api.rest.messages.schemas import MessageOut, MessagePageOut
from domain.auth.policy import Action
from domain.errors import ChatNotFound, InvalidCursor, InvalidLimit
from domain.ids import ChatId
from domain.messages.service import MessageService
from domain.subject import Subject


class MessageController(Controller):
    path = "/chats/{chat_id:str}/messages"
    tags = ("Messages",)

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.list_messages",
        summary="List the messages of a chat in the order they were said",
        opt=endpoint(Action.LIST_MESSAGES, ChatNotFound, InvalidCursor, InvalidLimit, lists=True),
    )
    async def list_messages(
        self,
        chat_id: FromPath[ChatId],
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        messages: NamedDependency[MessageService],
        cursors: NamedDependency[Cursors],
    ) -> Response[MessagePageOut]:
        name = ListName(
            resource="messages",
            order="seq asc",
            tenant_id=subject.tenant_id,
            user_id=subject.user_id,
            parent=chat_id,
        )
        listing = Listing(request, cursors, name)
        page = await messages.list(subject, chat_id, listing.query)
        info = listing.page_info(page)
        items = tuple(MessageOut.of(message) for message in page.items)
        return Response(MessagePageOut(items=items, page_info=info), headers=listing.links(info))

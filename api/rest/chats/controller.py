"""Chats over HTTP (api.md 3.3)."""

from typing import Any, Final

import msgspec
from litestar import Controller, Request, Response, delete, get, patch, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from msgspec import UNSET

from api.rest.chats.list_options import CHAT_LIST_OPTIONS, ChatListOptions
from api.rest.chats.schemas import ChatGroupOut, ChatOut, ChatPageOut, ChatPatchIn, NewChatIn
from api.rest.cursor import Cursors
from api.rest.endpoint import endpoint
from api.rest.list_spec import ListSpec
from api.rest.listing import Listing
from domain.auth.policy import Action
from domain.chats.listing import CHAT_LIST
from domain.chats.service import ChatService
from domain.errors import ChatNotFound, InvalidModel
from domain.ids import ChatId
from domain.pagination import PageQuery
from domain.subject import Subject

CHATS: Final = ListSpec(resource="chats", shape=CHAT_LIST, item=ChatOut, own=CHAT_LIST_OPTIONS)

_GROUPED_BY: Final = frozenset({"is_favorite", "updated_at"})


class ChatController(Controller):
    path = "/chats"
    tags = ("Chats",)

    @post(
        "",
        status_code=201,
        operation_id="mini_chat.create_chat",
        summary="Create a chat",
        opt=endpoint(Action.CREATE_CHAT, InvalidModel),
    )
    async def create_chat(
        self,
        request: Request[Any, Any, Any],
        data: JSONBody[NewChatIn],
        subject: NamedDependency[Subject],
        chats: NamedDependency[ChatService],
    ) -> Response[ChatOut]:
        chat = await chats.create(subject, data.draft())
        return Response(ChatOut.of(chat), headers={"Location": f"{request.scope['path']}/{chat.id}"})

    @get(
        "",
        status_code=200,
        operation_id="mini_chat.list_chats",
        summary="List the caller's chats, newest activity first",
        opt=endpoint(Action.LIST_CHATS, lists=CHATS),
    )
    async def list_chats(
        self,
        request: Request[Any, Any, Any],
        subject: NamedDependency[Subject],
        chats: NamedDependency[ChatService],
        cursors: NamedDependency[Cursors],
    ) -> Response[ChatPageOut]:
        listing = Listing(request, cursors, CHATS, subject)
        asked = listing.own
        page = await chats.list(subject, _query_for(listing), deleted=asked.deleted, preview=asked.preview)
        groups = tuple(map(ChatGroupOut.of, chats.grouped(page, asked.zone))) if asked.groups else UNSET
        return listing.answer(ChatPageOut, page, ChatOut.of, groups=groups)

    @get(
        "/{chat_id:str}",
        status_code=200,
        operation_id="mini_chat.get_chat",
        summary="Read a chat",
        opt=endpoint(Action.READ_CHAT, ChatNotFound),
    )
    async def get_chat(
        self, chat_id: FromPath[ChatId], subject: NamedDependency[Subject], chats: NamedDependency[ChatService]
    ) -> ChatOut:
        return ChatOut.of(await chats.get(subject, chat_id))

    @patch(
        "/{chat_id:str}",
        status_code=200,
        operation_id="mini_chat.update_chat",
        summary="Rename a chat, mark it as a favourite or change its metadata",
        opt=endpoint(Action.UPDATE_CHAT, ChatNotFound),
    )
    async def update_chat(
        self,
        chat_id: FromPath[ChatId],
        data: JSONBody[ChatPatchIn],
        subject: NamedDependency[Subject],
        chats: NamedDependency[ChatService],
    ) -> ChatOut:
        return ChatOut.of(await chats.change(subject, chat_id, data.patch()))

    @delete(
        "/{chat_id:str}",
        status_code=204,
        operation_id="mini_chat.delete_chat",
        summary="Delete a chat with everything in it",
        opt=endpoint(Action.DELETE_CHAT, ChatNotFound),
    )
    async def delete_chat(
        self, chat_id: FromPath[ChatId], subject: NamedDependency[Subject], chats: NamedDependency[ChatService]
    ) -> None:
        await chats.delete(subject, chat_id)

    @post(
        "/{chat_id:str}/restore",
        status_code=200,
        operation_id="mini_chat.restore_chat",
        summary="Bring a deleted chat back",
        opt=endpoint(Action.RESTORE_CHAT, ChatNotFound),
    )
    async def restore_chat(
        self, chat_id: FromPath[ChatId], subject: NamedDependency[Subject], chats: NamedDependency[ChatService]
    ) -> ChatOut:
        return ChatOut.of(await chats.restore(subject, chat_id))


def _query_for(listing: Listing[ChatListOptions]) -> PageQuery:
    """Groups look at members of a chat that may not have been selected."""
    query = listing.query
    if query.members is None or not listing.own.groups:
        return query
    return msgspec.structs.replace(query, members=query.members | _GROUPED_BY)

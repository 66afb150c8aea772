"""Titles on demand over HTTP (api.md 3.3)."""

from typing import Final, Self

import msgspec
from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.rest.endpoint import endpoint
from domain.auth.policy import Action
from domain.errors import ChatEmpty, ChatNotFound, GenerationDisabled
from domain.ids import ChatId
from domain.subject import Subject
from domain.titles.models import GeneratedTitle, TitleSource
from domain.titles.service import TitleService


class GenerateTitleIn(msgspec.Struct, frozen=True, kw_only=True):
    dry_run: bool = False


class TitleOut(msgspec.Struct, frozen=True, kw_only=True):
    """`fallback`: the beginning of the first message, because no model has answered."""

    title: str
    source: TitleSource

    @classmethod
    def of(cls, made: GeneratedTitle) -> Self:
        return cls(title=made.title, source=made.source)


_FOR_GOOD: Final = GenerateTitleIn()


class TitleController(Controller):
    path = "/chats/{chat_id:str}"
    tags = ("Chats",)

    @post(
        "/generate-title",
        status_code=200,
        operation_id="mini_chat.generate_title",
        summary="Have a model name a chat",
        opt=endpoint(Action.GENERATE_TITLE, ChatNotFound, ChatEmpty, GenerationDisabled, starts_work=True),
    )
    async def generate_title(
        self,
        chat_id: FromPath[ChatId],
        subject: NamedDependency[Subject],
        titles: NamedDependency[TitleService],
        data: JSONBody[GenerateTitleIn] = _FOR_GOOD,
    ) -> TitleOut:
        return TitleOut.of(await titles.generate(subject, chat_id, dry_run=data.dry_run))

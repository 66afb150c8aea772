"""Chats as titles meet them, and what a model was asked."""

from typing import Any

import msgspec

from domain.ids import ChatId
from domain.jobs.payloads import NameChat
from domain.providers.request import ProviderRequest, UserText
from domain.subject import Subject
from tests.harness.engine import Engine, read_all
from tests.harness.postgres import Database
from tests.integration.quotas.accounts import rows


async def answered(engine: Engine, who: Subject, chat_id: ChatId, content: str = "When is high tide?") -> None:
    await read_all((await engine.send(who, chat_id, content)).reader)


async def title_of(database: Database, chat_id: ChatId) -> tuple[str | None, str | None]:
    """And who made it."""
    (row,) = await rows(database, "SELECT title, title_source FROM mini_chat.chats WHERE id = $1", chat_id)
    return row["title"], row["title_source"]


async def naming_jobs(database: Database) -> list[NameChat]:
    found = await rows(database, "SELECT payload FROM mini_chat.jobs WHERE entrypoint = 'chat_title' ORDER BY id")
    return [msgspec.json.decode(row["payload"], type=NameChat) for row in found]


def record_in(request: ProviderRequest) -> Any:
    (item,) = request.items
    assert isinstance(item, UserText)
    return msgspec.json.decode(item.text)

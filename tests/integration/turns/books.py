"""The rows of a turn below all repositories, seen and bent by somebody who may do everything."""

from typing import Any

import asyncpg
import msgspec

from domain.ids import ChatId
from tests.harness.postgres import Database
from tests.harness.rows import connected


class Answer(msgspec.Struct, frozen=True):
    content: str
    is_partial: bool


async def _fetch(database: Database, query: str, *values: object) -> list[asyncpg.Record]:
    async with connected(database.superuser_dsn) as connection:
        rows: list[asyncpg.Record] = await connection.fetch(query, *values)
        return rows


async def chat_row(database: Database, chat_id: ChatId) -> Any:
    (row,) = await _fetch(database, "SELECT * FROM mini_chat.chats WHERE id = $1", chat_id)
    return row


async def turns_of(database: Database, chat_id: ChatId) -> list[Any]:
    return await _fetch(database, "SELECT * FROM mini_chat.chat_turns WHERE chat_id = $1 ORDER BY user_seq", chat_id)


async def only_turn(database: Database, chat_id: ChatId) -> Any:
    (turn,) = await turns_of(database, chat_id)
    return turn


async def messages_of(database: Database, chat_id: ChatId) -> list[Any]:
    return await _fetch(database, "SELECT * FROM mini_chat.messages WHERE chat_id = $1 ORDER BY seq", chat_id)


async def answers_of(database: Database, chat_id: ChatId) -> list[Answer]:
    rows = await _fetch(
        database,
        "SELECT content, is_partial FROM mini_chat.messages WHERE chat_id = $1 AND role = 'assistant' ORDER BY seq",
        chat_id,
    )
    return [Answer(row["content"], row["is_partial"]) for row in rows]


async def parts(database: Database) -> list[tuple[int, str]]:
    rows = await _fetch(database, "SELECT part_no, body FROM mini_chat.turn_parts ORDER BY turn_id, part_no")
    return [(row["part_no"], row["body"]) for row in rows]


async def expire_leases(database: Database) -> None:
    """As if every owner had been silent for longer than its lease."""
    await _fetch(
        database, "UPDATE mini_chat.chat_turns SET lease_until = now() - interval '1 s' WHERE state = 'running'"
    )


async def unexpired(database: Database) -> set[ChatId]:
    """The chats whose running turn is leased for the future."""
    rows = await _fetch(database, "SELECT chat_id FROM mini_chat.chat_turns WHERE lease_until > now()")
    return {ChatId(row["chat_id"]) for row in rows}

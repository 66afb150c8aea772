"""Many tenants, one chat that is very long, and one user who has very many chats.

Everything is made by the server from numbers, so a million messages take seconds. Triggers and foreign keys rest
meanwhile.
"""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from domain.ids import ChatId, TenantId, UserId
from domain.scope import AccessScope

TENANTS: Final = 50
_USERS_PER_TENANT: Final = 20
_CHATS_OF_OTHERS: Final = 40_000
_LONG_CHAT: Final = 900_000_000
_MANY_CHATS: Final = 800_000_000
_COLLECTOR: Final = 700_000_000
DAWN: Final = datetime(2026, 1, 1, tzinfo=UTC)


class Crowd(msgspec.Struct, frozen=True, kw_only=True):
    """`messages` in all, a fifth of them in one chat; `chats` of one user, a tenth of them deleted."""

    messages: int
    chats: int

    @property
    def long_chat_messages(self) -> int:
        return self.messages // 5

    @property
    def writer(self) -> AccessScope:
        """Whose chat is the long one."""
        return AccessScope(tenant_id=TenantId(UUID(int=1)), user_id=UserId(UUID(int=1)))

    @property
    def long_chat(self) -> ChatId:
        return ChatId(UUID(int=_LONG_CHAT))

    @property
    def collector(self) -> AccessScope:
        """Who has very many chats."""
        return AccessScope(tenant_id=TenantId(UUID(int=2)), user_id=UserId(UUID(int=_COLLECTOR)))

    @property
    def one_of_many_chats(self) -> ChatId:
        return ChatId(UUID(int=_MANY_CHATS + self.chats // 2 + 1))

    async def settle(self, superuser: asyncpg.Connection) -> None:
        each = (self.messages - self.long_chat_messages) // _CHATS_OF_OTHERS
        await superuser.execute("SET session_replication_role = replica; SET maintenance_work_mem = '256MB'")
        await superuser.execute(_CHATS.format(chats=_CHATS_OF_OTHERS, tenants=TENANTS, users=_USERS_PER_TENANT))
        await superuser.execute(_COLLECTION.format(chats=self.chats, first=_MANY_CHATS, user=_COLLECTOR))
        await superuser.execute(_LONG.format(chat=_LONG_CHAT))
        await superuser.execute(_SAID.format(chats=_CHATS_OF_OTHERS, messages=each, tenants=TENANTS))
        await superuser.execute(_SAID_AT_LENGTH.format(chat=_LONG_CHAT, messages=self.long_chat_messages))
        await superuser.execute("SET session_replication_role = origin")
        await superuser.execute("VACUUM (ANALYZE) mini_chat.chats")
        await superuser.execute("VACUUM (ANALYZE) mini_chat.messages")


def _id(number: str) -> str:
    return f"lpad(to_hex({number}), 32, '0')::uuid"


_CHAT_COLUMNS: Final = """
INSERT INTO mini_chat.chats (tenant_id, id, user_id, model, title, is_temporary, is_favorite, message_count,
                             created_at, updated_at, deleted_at)"""
_WHATEVER: Final = """
    'model-' || n % 3, CASE WHEN n % 5 > 0 THEN 'title ' || n % 1000 END, n % 50 = 0, n % 100 = 7"""

_CHATS: Final = f"""{_CHAT_COLUMNS}
SELECT {_id("n % {tenants} + 1")}, {_id("n")}, {_id("n / {tenants} % {users} + 1")}, {_WHATEVER}, 0,
    '{DAWN}'::timestamptz + n * interval '1 minute', '{DAWN}'::timestamptz + n / 3 * interval '1 hour', NULL
FROM generate_series(1, {{chats}}) AS n"""  # noqa: S608 - our own numbers

_COLLECTION: Final = f"""{_CHAT_COLUMNS}
SELECT {_id("2")}, {_id("{first} + n")}, {_id("{user}")}, {_WHATEVER}, 0,
    '{DAWN}'::timestamptz + n * interval '1 minute', '{DAWN}'::timestamptz + n / 3 * interval '1 hour',
    CASE WHEN n % 10 = 0 THEN '{DAWN}'::timestamptz + n * interval '1 hour' END
FROM generate_series(1, {{chats}}) AS n"""  # noqa: S608 - our own numbers

_LONG: Final = f"""{_CHAT_COLUMNS}
SELECT {_id("1")}, {_id("{chat}")}, {_id("1")}, {_WHATEVER}, 0, '{DAWN}', '{DAWN}', NULL
FROM generate_series(1, 1) AS n"""  # noqa: S608 - our own numbers

_MESSAGES: Final = """
INSERT INTO mini_chat.messages (tenant_id, id, chat_id, turn_id, request_id, seq, role, content, is_partial, model,
                                created_at, deleted_at)"""
_WORDS: Final = """
    repeat('lorem ipsum ', 8), false, CASE WHEN n % 2 = 0 THEN 'model-' || n % 3 END,"""

_SAID: Final = f"""{_MESSAGES}
SELECT {_id("n % {chats} % {tenants} + 1")}, {_id("n")}, {_id("n % {chats}")}, {_id("n / 2")}, {_id("n / 2")},
    n / {{chats}} + 1, CASE WHEN n / {{chats}} % 2 = 0 THEN 'user' ELSE 'assistant' END, {_WORDS}
    '{DAWN}'::timestamptz + n / 4 * interval '1 second', CASE WHEN n % 50 = 0 THEN now() END
FROM generate_series(0, {{chats}} * {{messages}} - 1) AS n"""  # noqa: S608 - our own numbers

_SAID_AT_LENGTH: Final = f"""{_MESSAGES}
SELECT {_id("1")}, {_id("{chat} + n")}, {_id("{chat}")}, {_id("{chat} + n / 2")}, {_id("{chat} + n / 2")},
    n, CASE WHEN n % 2 = 0 THEN 'user' ELSE 'assistant' END, {_WORDS}
    '{DAWN}'::timestamptz + n / 4 * interval '1 second', CASE WHEN n % 50 = 0 THEN now() END
FROM generate_series(1, {{messages}}) AS n"""  # noqa: S608 - our own numbers

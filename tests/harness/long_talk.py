"""A chat of very many turns among many others, made by the server from numbers in a moment.

Triggers and foreign keys rest meanwhile.
"""

from typing import Final
from uuid import UUID

import asyncpg
import msgspec

from domain.ids import ChatId, TenantId, UserId
from domain.scope import AccessScope

_OTHER_CHATS: Final = 500
_TURNS_OF_OTHERS: Final = 50
_CHAT: Final = 1_000_000


class LongTalk(msgspec.Struct, frozen=True, kw_only=True):
    """Two messages a turn; the `failed` newest turns have no answer, and are no part of any prompt."""

    turns: int
    message_bytes: int = 400
    failed: int = 0

    @property
    def scope(self) -> AccessScope:
        return AccessScope(tenant_id=TenantId(UUID(int=1)), user_id=UserId(UUID(int=1)))

    @property
    def chat_id(self) -> ChatId:
        return ChatId(UUID(int=_CHAT))

    async def settle(self, superuser: asyncpg.Connection) -> None:
        await superuser.execute("SET session_replication_role = replica")
        for number in range(_OTHER_CHATS):
            await self._talk(superuser, _CHAT + 1 + number, _TURNS_OF_OTHERS, 0)
        await self._talk(superuser, _CHAT, self.turns, self.failed)
        await superuser.execute("SET session_replication_role = origin")
        for table in ("chats", "chat_turns", "messages"):
            await superuser.execute(f"VACUUM (ANALYZE) mini_chat.{table}")

    async def _talk(self, superuser: asyncpg.Connection, chat: int, turns: int, failed: int) -> None:
        for statement in (_CHATS, _TURNS, _MESSAGES):
            await superuser.execute(
                statement.format(chat=chat, turns=turns, answered=turns - failed, size=self.message_bytes)
            )


def _id(kind: int, number: str = "n") -> str:
    """`kind` keeps the ids of turns and messages apart."""
    return f"(lpad(to_hex({{chat}}), 16, '0') || lpad(to_hex({kind}), 4, '0') || lpad(to_hex({number}), 12, '0'))::uuid"


_OWNER: Final = "'00000000-0000-0000-0000-000000000001'::uuid"
_CHAT_ID: Final = "lpad(to_hex({chat}), 32, '0')::uuid"

_CHATS: Final = f"""
INSERT INTO mini_chat.chats (tenant_id, id, user_id, model, is_temporary, last_seq, revision)
VALUES ({_OWNER}, {_CHAT_ID}, {_OWNER}, 'test-model', false, 2 * {{turns}}, {{turns}})"""  # noqa: S608 - our own numbers

_TURNS: Final = f"""
INSERT INTO mini_chat.chat_turns (tenant_id, id, chat_id, user_id, request_id, kind, body_fingerprint, on_disconnect,
    user_seq, user_message_id, planned_message_id, assistant_message_id, trace_id, state, finish_reason, error_code,
    owner_epoch, completed_at, selected_model, effective_model, provider_id, max_output_tokens)
SELECT {_OWNER}, {_id(1)}, {_CHAT_ID}, {_OWNER}, {_id(1)}, 'send', decode(repeat('00', 32), 'hex'), 'cancel',
    2 * n - 1, {_id(2)}, {_id(3)}, CASE WHEN n <= {{answered}} THEN {_id(3)} END, repeat('0', 32),
    CASE WHEN n <= {{answered}} THEN 'completed' ELSE 'failed' END, CASE WHEN n <= {{answered}} THEN 'stop' END,
    CASE WHEN n > {{answered}} THEN 'provider_error' END,
    1, now(), 'test-model', 'test-model', 'test', 100
FROM generate_series(1, {{turns}}) AS n"""  # noqa: S608 - our own numbers

_MESSAGES: Final = f"""
INSERT INTO mini_chat.messages (tenant_id, id, chat_id, turn_id, request_id, seq, role, content, is_partial)
SELECT {_OWNER}, CASE place WHEN 0 THEN {_id(2)} ELSE {_id(3)} END, {_CHAT_ID}, {_id(1)}, {_id(1)},
    2 * n - 1 + place, CASE place WHEN 0 THEN 'user' ELSE 'assistant' END,
    repeat(md5(n::text || place), {{size}} / 32 + 1), false
FROM generate_series(1, {{turns}}) AS n, generate_series(0, 1) AS place
WHERE place = 0 OR n <= {{answered}}"""  # noqa: S608 - our own numbers

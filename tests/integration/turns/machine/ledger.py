"""What must be true of a tenant's turns at every moment, whoever runs, dies or races (reliability.md, chapter 2)."""

from collections import Counter
from typing import Any
from uuid import UUID

import asyncpg

_TURNS = """
    SELECT turn.*, asked.content AS asked, answer.content AS answered, answer.is_partial AS is_partial
    FROM mini_chat.chat_turns turn
    LEFT JOIN mini_chat.messages asked ON asked.tenant_id = turn.tenant_id AND asked.id = turn.user_message_id
    LEFT JOIN mini_chat.messages answer ON answer.tenant_id = turn.tenant_id AND answer.turn_id = turn.id
        AND answer.role = 'assistant'
    WHERE turn.tenant_id = $1 ORDER BY turn.id"""

_MAY_CHANGE_LATER = {"deleted_at", "replaced_by_request_id"}


class Ledger:
    """Remembers what every ended turn came to, and compares."""

    def __init__(self, connection: asyncpg.Connection, tenant_id: UUID) -> None:
        self._connection = connection
        self._tenant_id = tenant_id
        self._ended: dict[UUID, dict[str, Any]] = {}

    async def turns(self) -> list[Any]:
        rows: list[Any] = await self._connection.fetch(_TURNS, self._tenant_id)
        return rows

    async def turn(self, key: UUID) -> Any:
        """None when the key names no turn; it names one chat's turn only."""
        found = [turn for turn in await self.turns() if turn["request_id"] == key]
        assert len(found) <= 1, found
        return found[0] if found else None

    async def expired(self) -> int:
        """How many running turns nobody has proved alive in time."""
        query = """SELECT count(*) FROM mini_chat.chat_turns
                   WHERE tenant_id = $1 AND state = 'running' AND lease_until < now()"""
        count: int = await self._connection.fetchval(query, self._tenant_id)
        return count

    async def expire_leases(self) -> None:
        await self._connection.execute(
            """UPDATE mini_chat.chat_turns SET lease_until = now() - interval '1 s'
               WHERE tenant_id = $1 AND state = 'running'""",
            self._tenant_id,
        )

    async def check(self) -> None:
        turns = await self.turns()
        running = Counter(turn["chat_id"] for turn in turns if turn["state"] == "running")
        assert all(count == 1 for count in running.values()), f"I-06: {running}"
        keys = Counter((turn["chat_id"], turn["request_id"]) for turn in turns)
        assert all(count == 1 for count in keys.values()), f"I-23: {keys}"
        for turn in turns:
            assert turn["asked"] is not None, f"I-08: no user message: {turn}"
            if turn["state"] == "completed":
                assert turn["is_partial"] is False, f"I-08: no whole answer: {turn}"
            else:
                assert turn["is_partial"] is not False, f"I-08: an answer that seems whole: {turn}"
            self._check_frozen(turn)

    def _check_frozen(self, turn: Any) -> None:
        if turn["state"] == "running":
            return
        now = {name: value for name, value in turn.items() if name not in _MAY_CHANGE_LATER}
        assert self._ended.setdefault(turn["id"], now) == now, "I-05: an ended turn has changed"

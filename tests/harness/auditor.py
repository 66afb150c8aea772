"""What must hold after every test, whatever happened in it (reliability.md, chapter 3): looked up below the walls."""

from collections.abc import Iterable
from typing import Any, Final

import asyncpg

from infra.postgres.audit.checks import ROW_CHECKS
from tests.harness.credit_checks import CREDIT_CHECKS
from tests.harness.eventually import eventually
from tests.harness.rows import connected
from tests.harness.sse_client import EventStream

SETTLES_WITHIN_S: Final = 10

_ENDED_BY_A_REAPER: Final = 2**31 - 1
"""Its number of the last event: it does not know how far the lost owner had told."""

_NONE_RUNS: Final = "SELECT NOT EXISTS (SELECT FROM mini_chat.chat_turns WHERE state = 'running')"
_CHECKS: Final = ROW_CHECKS | CREDIT_CHECKS

_TOLD: Final = """
    SELECT turn.state, turn.error_code, turn.finish_reason, turn.last_event_id, message.content,
        (chat.deleted_at IS NOT NULL OR turn.cancel_reason = 'chat_deleted') AND message.id IS NULL
            AS went_with_its_chat
    FROM mini_chat.chat_turns turn JOIN mini_chat.chats chat
        ON chat.tenant_id = turn.tenant_id AND chat.id = turn.chat_id
    LEFT JOIN mini_chat.messages message
        ON message.tenant_id = turn.tenant_id AND message.id = turn.assistant_message_id
    WHERE turn.planned_message_id = $1"""


async def audit(superuser_dsn: str, streams: Iterable[EventStream]) -> None:
    """Waits until no turn runs, then fails with everything that is wrong with the rows or with what was sent."""
    async with connected(superuser_dsn) as connection:
        await eventually(lambda: connection.fetchval(_NONE_RUNS), within_s=SETTLES_WITHIN_S)
        faults = [f"{name}: {rows}" for name, query in _CHECKS.items() if (rows := await connection.fetch(query))]
        for stream in streams:
            faults += stream.faults()
            faults += await _contradictions(connection, stream)
    assert not faults, "\n".join(faults)


async def _contradictions(connection: asyncpg.Connection, stream: EventStream) -> list[str]:
    """Where the rows of a turn and what its reader was told differ."""
    if not stream.frames:
        return []
    row = await connection.fetchrow(_TOLD, stream.message_id)
    if row is None:
        return [f"no turn for the answer {stream.message_id}"]
    stored, terminal = stream.text if row["went_with_its_chat"] else row["content"] or "", stream.terminal
    if terminal is None:
        is_kin = stored.startswith(stream.text) or stream.text.startswith(stored)
        return [] if is_kin else [f"stored {stored!r}, sent {stream.text!r}"]
    if row["last_event_id"] == _ENDED_BY_A_REAPER:
        agrees = _told_as(row) == _terminal(terminal.event, terminal.data) and stream.text.startswith(stored)
        return [] if agrees else [f"rows say {_told_as(row)} {stored!r}, sent {stream.text!r} and {terminal}"]
    expected: dict[str, Any] = {"sent": stream.text, "terminal": _told_as(row), "number": row["last_event_id"]}
    told = {"sent": stored, "terminal": _terminal(terminal.event, terminal.data), "number": terminal.number}
    return [] if told == expected else [f"rows say {expected}, the reader was told {told}"]


def _told_as(row: asyncpg.Record) -> str:
    if row["state"] == "completed":
        return f"done {row['finish_reason']}"
    return f"error {row['error_code'] or 'turn_cancelled'}"


def _terminal(event: str, data: dict[str, Any]) -> str:
    return f"{event} {data['finish_reason'] if event == 'done' else data['code']}"

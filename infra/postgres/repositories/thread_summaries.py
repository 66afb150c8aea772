"""The summaries of one owner's chats."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.ids import ChatId, TurnId
from domain.scope import AccessScope
from domain.summaries.models import Material, NewSummary, SpokenTurn
from infra.postgres.connection_pool import driver_of
from infra.postgres.prepared import Prepared

_MOST_TURNS: Final = 200
_MOST_BYTES: Final = 1024 * 1024
"""More than one call is asked to read; the rest is left to the next."""

_OUR_CHAT: Final = """
    tenant_id = CAST(:b_tenant_id AS uuid) AND user_id = CAST(:b_user_id AS uuid) AND id = CAST(:b_chat_id AS uuid)
    AND deleted_at IS NULL
"""

# The first turn is there however long it is.
_MATERIAL: Final = Prepared(
    text(f"""
    WITH chat AS MATERIALIZED (
        SELECT tenant_id, id, model FROM mini_chat.chats WHERE {_OUR_CHAT}
    ), present AS MATERIALIZED (
        SELECT version, body, covers_seq FROM mini_chat.thread_summaries
        WHERE tenant_id = CAST(:b_tenant_id AS uuid) AND chat_id = CAST(:b_chat_id AS uuid)
    ), spoken AS (
        SELECT turn.id, turn.user_seq + 1 AS end_seq,
            left(asked.content, CAST(:b_chars AS integer) + 1) AS asked,
            left(answered.content, CAST(:b_chars AS integer) + 1) AS answered
        FROM chat
        JOIN mini_chat.chat_turns turn ON turn.tenant_id = chat.tenant_id AND turn.chat_id = chat.id
        JOIN mini_chat.messages asked
            ON asked.tenant_id = turn.tenant_id AND asked.id = turn.user_message_id
        JOIN mini_chat.messages answered
            ON answered.tenant_id = turn.tenant_id AND answered.id = turn.assistant_message_id
        WHERE turn.user_seq > coalesce((SELECT covers_seq FROM present), 0)
            AND turn.user_seq < CAST(:b_target_seq AS bigint)
            AND turn.state IN ('completed', 'cancelled') AND turn.deleted_at IS NULL AND answered.content <> ''
        ORDER BY turn.user_seq
        LIMIT CAST(:b_turns AS integer)
    ), grown AS (
        SELECT spoken.*, row_number() OVER oldest AS place,
            sum(octet_length(asked) + octet_length(answered)) OVER oldest AS bytes_so_far
        FROM spoken WINDOW oldest AS (ORDER BY end_seq ROWS UNBOUNDED PRECEDING)
    )
    SELECT chat.model, coalesce(present.version, 0) AS version, coalesce(present.body, '') AS body,
        grown.id, grown.end_seq, grown.asked, grown.answered
    FROM chat LEFT JOIN present ON true
    LEFT JOIN grown ON grown.place = 1 OR grown.bytes_so_far <= CAST(:b_bytes AS bigint)
    ORDER BY grown.end_seq
    """)  # noqa: S608 - our own text
)

# A statement of its own: what follows sees everything that was committed while this one waited.
_LOCK: Final = Prepared(
    text(f"SELECT id FROM mini_chat.chats WHERE {_OUR_CHAT} FOR NO KEY UPDATE")  # noqa: S608 - our own text
)

_PUT: Final = Prepared(
    text("""
    INSERT INTO mini_chat.thread_summaries AS present
        (tenant_id, chat_id, version, body, covers_seq, token_estimate, model)
    SELECT CAST(:b_tenant_id AS uuid), CAST(:b_chat_id AS uuid), 1, CAST(:b_body AS text),
        CAST(:b_covers_seq AS bigint), CAST(:b_token_estimate AS integer), CAST(:b_model AS text)
    WHERE cardinality(CAST(:b_made_of AS uuid[])) = (
        SELECT count(*) FROM mini_chat.chat_turns
        WHERE tenant_id = CAST(:b_tenant_id AS uuid) AND chat_id = CAST(:b_chat_id AS uuid)
            AND id = ANY (CAST(:b_made_of AS uuid[])) AND deleted_at IS NULL)
    ON CONFLICT (tenant_id, chat_id) DO UPDATE
    SET version = present.version + 1, body = excluded.body, covers_seq = excluded.covers_seq,
        token_estimate = excluded.token_estimate, model = excluded.model, updated_at = now()
    WHERE present.version = CAST(:b_seen AS bigint)
    RETURNING version
    """)
)


class PostgresThreadSummaries:
    """Fills the port ThreadSummaries."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._ours = {"b_tenant_id": scope.tenant_id, "b_user_id": scope.user_id}

    async def material(self, chat_id: ChatId, target_seq: int, message_chars: int) -> Material | None:
        bounds = {
            "b_target_seq": target_seq,
            "b_chars": message_chars,
            "b_turns": _MOST_TURNS,
            "b_bytes": _MOST_BYTES,
        }
        rows = await _MATERIAL.all(driver_of(self._connection), {**self._ours, "b_chat_id": chat_id, **bounds})
        if not rows:
            return None
        turns = [
            SpokenTurn(
                turn_id=TurnId(row["id"]),
                end_seq=row["end_seq"],
                user_text=row["asked"],
                assistant_text=row["answered"],
            )
            for row in rows
            if row["id"] is not None
        ]
        return Material(chat_model=rows[0]["model"], version=rows[0]["version"], recap=rows[0]["body"], turns=turns)

    async def put(self, chat_id: ChatId, summary: NewSummary) -> bool:
        """Two statements."""
        place = {**self._ours, "b_chat_id": chat_id}
        if await _LOCK.one(driver_of(self._connection), place) is None:
            return False
        values = {
            "b_tenant_id": self._ours["b_tenant_id"],
            "b_chat_id": chat_id,
            "b_seen": summary.seen,
            "b_made_of": list(summary.made_of),
            "b_body": summary.text,
            "b_covers_seq": summary.covers_seq,
            "b_token_estimate": summary.token_estimate,
            "b_model": summary.model,
        }
        return await _PUT.one(driver_of(self._connection), values) is not None

"""What a prompt is made of: the summary of a chat, and the newest turns beyond it, in one statement."""

from collections.abc import Iterable
from typing import Final

import asyncpg
from sqlalchemy import text

from domain.context.history import Exchange, History, Recap
from infra.postgres.prepared import Prepared

# One row more than wanted tells whether there are older ones; it is told without its text. Sizes are known without
# unpacking the texts. A summary that covers the turn that is about to go will go with it.
HISTORY: Final = Prepared(
    text("""
    WITH recap AS MATERIALIZED (
        SELECT body, covers_seq, token_estimate FROM mini_chat.thread_summaries
        WHERE tenant_id = CAST(:b_tenant_id AS uuid) AND chat_id = CAST(:b_chat_id AS uuid) AND covers_seq > 0
            AND NOT EXISTS (
                SELECT FROM mini_chat.chat_turns replaced
                WHERE replaced.tenant_id = CAST(:b_tenant_id AS uuid) AND replaced.id = CAST(:b_without AS uuid)
                    AND replaced.user_seq <= covers_seq)
    ), counted AS MATERIALIZED (
        SELECT turn.user_seq, asked.content AS asked, answered.content AS answered,
            row_number() OVER newest AS place,
            sum(octet_length(asked.content) + octet_length(answered.content)) OVER newest AS bytes_so_far
        FROM mini_chat.chat_turns turn
        JOIN mini_chat.messages asked
            ON asked.tenant_id = turn.tenant_id AND asked.id = turn.user_message_id
        JOIN mini_chat.messages answered
            ON answered.tenant_id = turn.tenant_id AND answered.id = turn.assistant_message_id
        WHERE turn.tenant_id = CAST(:b_tenant_id AS uuid) AND turn.user_id = CAST(:b_user_id AS uuid)
            AND turn.chat_id = CAST(:b_chat_id AS uuid)
            AND turn.user_seq > coalesce((SELECT covers_seq FROM recap), 0)
            AND turn.state IN ('completed', 'cancelled') AND turn.deleted_at IS NULL
            AND turn.id IS DISTINCT FROM CAST(:b_without AS uuid) AND answered.content <> ''
        WINDOW newest AS (ORDER BY turn.user_seq DESC ROWS UNBOUNDED PRECEDING)
        ORDER BY turn.user_seq DESC
        LIMIT CAST(:b_newest AS integer) + 1
    ), shown AS (
        SELECT counted.*,
            place <= CAST(:b_newest AS integer) AND bytes_so_far <= CAST(:b_max_bytes AS bigint) AS fits
        FROM counted
    )
    SELECT 'recap' AS what, covers_seq AS seq, body, NULL AS answered, token_estimate FROM recap
    UNION ALL
    SELECT 'left_out', max(user_seq), NULL, NULL, NULL FROM shown WHERE NOT fits HAVING count(*) > 0
    UNION ALL
    SELECT 'exchange', user_seq, asked, answered, NULL FROM shown WHERE fits
    ORDER BY seq
    """)
)


def history_of(rows: Iterable[asyncpg.Record]) -> History:
    exchanges: list[Exchange] = []
    recap, left_out_seq = None, None
    for row in rows:
        match row["what"]:
            case "recap":
                recap = Recap(text=row["body"], covers_seq=row["seq"], token_estimate=row["token_estimate"])
            case "left_out":
                left_out_seq = row["seq"]
            case _:
                exchanges.append(Exchange(user_seq=row["seq"], user_text=row["body"], assistant_text=row["answered"]))
    return History(exchanges=exchanges, recap=recap, left_out_seq=left_out_seq)

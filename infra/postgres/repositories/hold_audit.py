"""What a counter holds, beside what the running turns hold in it."""

from typing import Final

from sqlalchemy import Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.types import Date

from domain.quotas.ports import HeldBucket, HoldDifference
from domain.scope import AccessScope

_KEY: Final = "(tenant_id, subject_id, period_type, period_start, bucket)"
_BOUND: Final = "(:tenant_id, :subject_id, :period_type, :period_start, :bucket)"
_TYPES: Final = (
    bindparam("tenant_id", type_=Uuid()),
    bindparam("subject_id", type_=Uuid()),
    bindparam("period_type", type_=Text()),
    bindparam("period_start", type_=Date()),
    bindparam("bucket", type_=Text()),
)

_LOCK: Final = text(
    f"SELECT reserved_micro FROM mini_chat.quota_buckets WHERE {_KEY} = {_BOUND} FOR UPDATE"  # noqa: S608 - our own text
).bindparams(*_TYPES)

# In a statement of its own, hence after the lock: it sees every turn whose hold the counter has, and no other.
_CORRECT: Final = text("""
    WITH held AS (
        SELECT coalesce(sum(reserved_micro), 0)::bigint AS micro,
            coalesce(sum(web_search_held) FILTER (WHERE counts_tools), 0)::bigint AS searches,
            coalesce(sum(code_interpreter_held) FILTER (WHERE counts_tools), 0)::bigint AS code_runs
        FROM mini_chat.chat_turns, LATERAL (
            SELECT :bucket = 'total' AND :period_type = 'daily' AND user_id = :subject_id
        ) AS here (counts_tools)
        WHERE tenant_id = :tenant_id AND state = 'running' AND reserved_micro IS NOT NULL
          AND (user_id = :subject_id OR (tenant_bucket AND :subject_id = '00000000-0000-0000-0000-000000000000'::uuid))
          AND (:bucket = 'total' OR tier = 'premium')
          AND CASE :period_type WHEN 'daily' THEN period_day ELSE period_month END = :period_start
    ), before AS (
        SELECT reserved_micro AS micro, web_search_held AS searches, code_interpreter_held AS code_runs
        FROM mini_chat.quota_buckets
        WHERE tenant_id = :tenant_id AND subject_id = :subject_id AND period_type = :period_type
          AND period_start = :period_start AND bucket = :bucket
    ), corrected AS (
        UPDATE mini_chat.quota_buckets
        SET reserved_micro = held.micro, web_search_held = held.searches, code_interpreter_held = held.code_runs,
            updated_at = now()
        FROM held, before
        WHERE tenant_id = :tenant_id AND subject_id = :subject_id AND period_type = :period_type
          AND period_start = :period_start AND bucket = :bucket
          AND (held.micro, held.searches, held.code_runs) <> (before.micro, before.searches, before.code_runs)
        RETURNING before.micro - held.micro AS difference_micro,
            abs(before.searches - held.searches) + abs(before.code_runs - held.code_runs) AS difference_calls
    ), entered AS (
        INSERT INTO mini_chat.ledger_entries (tenant_id, kind, credits_micro, released_micro, subject_id, period_type,
            period_start, bucket, reason)
        SELECT :tenant_id, 'adjust', 0, difference_micro, :subject_id, :period_type, :period_start, :bucket,
            'hold_audit'
        FROM corrected
        WHERE difference_micro <> 0
    )
    SELECT difference_micro, difference_calls FROM corrected
""").bindparams(*_TYPES)


class PostgresHoldAudit:
    """Fills the port HoldAudit."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def correct(self, bucket: HeldBucket) -> HoldDifference | None:
        named = {
            "tenant_id": self._scope.tenant_id,
            "subject_id": bucket.subject_id,
            "period_type": bucket.period.type.value,
            "period_start": bucket.period.start,
            "bucket": bucket.name.value,
        }
        await self._connection.execute(_LOCK, named)
        row = (await self._connection.execute(_CORRECT, named)).one_or_none()
        return None if row is None else HoldDifference(micro=row.difference_micro, tool_calls=row.difference_calls)

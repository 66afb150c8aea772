"""Where something is held, across tenants: asked as `mini_chat_ops`, which sees such counters and no others."""

from collections.abc import Sequence
from datetime import date
from typing import Final
from uuid import UUID

from sqlalchemy import Date, Integer, Text, Uuid, bindparam, text

from domain.ids import TenantId
from domain.quotas.buckets import BucketName
from domain.quotas.periods import Period, PeriodType
from domain.quotas.ports import HeldBucket
from infra.postgres.connection_pool import ConnectionPool
from infra.postgres.plain_transactions import OPS, PlainTransactions
from infra.postgres.transaction import TransactionLimits

_FIRST: Final = HeldBucket(
    tenant_id=TenantId(UUID(int=0)),
    subject_id=UUID(int=0),
    period=Period(PeriodType.DAILY, date.min),
    name=BucketName.TOTAL,
)
_HELD: Final = text("""
    SELECT tenant_id, subject_id, period_type, period_start, bucket
    FROM mini_chat.quota_buckets
    WHERE (reserved_micro > 0 OR web_search_held > 0 OR code_interpreter_held > 0) AND bucket <> 'system'
      AND (tenant_id, subject_id, period_type, period_start, bucket)
        > (:tenant_id, :subject_id, :period_type, :period_start, :bucket)
    ORDER BY tenant_id, subject_id, period_type, period_start, bucket
    LIMIT :at_most
""").bindparams(
    bindparam("tenant_id", type_=Uuid()),
    bindparam("subject_id", type_=Uuid()),
    bindparam("period_type", type_=Text()),
    bindparam("period_start", type_=Date()),
    bindparam("bucket", type_=Text()),
    bindparam("at_most", type_=Integer()),
)


class PostgresHeldBuckets:
    """Fills the port HeldBuckets."""

    def __init__(self, pool: ConnectionPool, limits: TransactionLimits) -> None:
        self._begun = PlainTransactions(pool, limits, role=OPS)

    async def find(self, after: HeldBucket | None, at_most: int) -> Sequence[HeldBucket]:
        last = after or _FIRST
        values = {
            "tenant_id": last.tenant_id,
            "subject_id": last.subject_id,
            "period_type": last.period.type.value,
            "period_start": last.period.start,
            "bucket": last.name.value,
            "at_most": at_most,
        }
        async with self._begun() as connection:
            rows = await connection.execute(_HELD, values)
            return [
                HeldBucket(
                    tenant_id=TenantId(row.tenant_id),
                    subject_id=row.subject_id,
                    period=Period(PeriodType(row.period_type), row.period_start),
                    name=BucketName(row.bucket),
                )
                for row in rows
            ]

"""The credits of one user and of the tenant: what is there, and what a turn takes hold of."""

from collections.abc import Iterator
from typing import Any, Final
from uuid import UUID

import asyncpg
from sqlalchemy import (
    ARRAY,
    BigInteger,
    ColumnElement,
    Date,
    Text,
    Uuid,
    and_,
    bindparam,
    cast,
    func,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.quotas.buckets import Bucket, BucketName, Holder
from domain.quotas.limits import NO_LIMITS, Limits, LimitSet, TierLimits
from domain.quotas.models import Claim, Counter, Standing
from domain.quotas.periods import PeriodType, periods_at
from domain.scope import AccessScope
from domain.tools.calls import ToolCalls
from domain.unit_of_work import LostRace
from infra.postgres.connection_pool import driver_of
from infra.postgres.orm.quota_bucket import QuotaBucketRow
from infra.postgres.orm.quota_limit import QuotaLimitRow
from infra.postgres.prepared import Prepared
from infra.postgres.repositories.bound import TENANT, USER

THE_TENANT: Final = UUID(int=0)
"""Stands in the place of a user where the tenant as a whole is meant."""

_NIL: Final = literal_column(f"'{THE_TENANT}'::uuid", Uuid())
_TODAY: Final = cast(func.timezone("UTC", func.now()), Date())
_THIS_MONTH: Final = cast(func.date_trunc("month", func.timezone("UTC", func.now())), Date())

_LIMITS: Final = (
    select(
        func.jsonb_object_agg(
            QuotaLimitRow.scope,
            func.jsonb_build_array(
                QuotaLimitRow.total_daily_micro,
                QuotaLimitRow.total_monthly_micro,
                QuotaLimitRow.premium_daily_micro,
                QuotaLimitRow.premium_monthly_micro,
            ),
        )
    )
    .where(
        QuotaLimitRow.tenant_id == TENANT,
        or_(
            and_(QuotaLimitRow.scope == "user", QuotaLimitRow.subject_id == USER),
            and_(QuotaLimitRow.scope != "user", QuotaLimitRow.subject_id == _NIL),
        ),
    )
    .scalar_subquery()
)
_COUNTERS: Final = (
    select(
        func.jsonb_agg(
            func.jsonb_build_array(
                QuotaBucketRow.subject_id == _NIL,
                QuotaBucketRow.bucket,
                QuotaBucketRow.period_type,
                QuotaBucketRow.spent_micro,
                QuotaBucketRow.reserved_micro,
                QuotaBucketRow.web_search_calls + QuotaBucketRow.web_search_held,
                QuotaBucketRow.code_interpreter_calls + QuotaBucketRow.code_interpreter_held,
            )
        )
    )
    .where(
        QuotaBucketRow.tenant_id == TENANT,
        or_(QuotaBucketRow.subject_id == USER, QuotaBucketRow.subject_id == _NIL),
        or_(
            and_(QuotaBucketRow.period_type == "daily", QuotaBucketRow.period_start == _TODAY),
            and_(QuotaBucketRow.period_type == "monthly", QuotaBucketRow.period_start == _THIS_MONTH),
        ),
        QuotaBucketRow.bucket != "system",
    )
    .scalar_subquery()
)
STANDING: Final[tuple[ColumnElement[Any], ...]] = (
    func.now().label("seen_at"),
    _LIMITS.label("limits"),
    _COUNTERS.label("counters"),
)
"""Columns that tell a Standing; another query may carry them along."""

_STANDING: Final = Prepared(select(*STANDING))

# Rows are locked in the order in which they come, the same for all: two turns never wait for each other in a circle.
_RESERVE: Final = Prepared(
    text("""
    WITH held AS (
        INSERT INTO mini_chat.quota_buckets AS present
            (tenant_id, subject_id, period_type, period_start, bucket, limit_micro, reserved_micro,
             web_search_held, code_interpreter_held)
        SELECT :b_tenant_id, wanted.subject_id, wanted.period_type, wanted.period_start, wanted.bucket,
               wanted.limit_micro, :b_hold_micro, wanted.web_searches, wanted.code_runs
        FROM unnest(:b_subjects, :b_period_types, :b_period_starts, :b_buckets, :b_limits, :b_web_searches,
                :b_code_runs)
            AS wanted (subject_id, period_type, period_start, bucket, limit_micro, web_searches, code_runs)
        WHERE :b_hold_micro <= wanted.limit_micro
        ORDER BY wanted.subject_id, wanted.period_type, wanted.period_start, wanted.bucket
        ON CONFLICT (tenant_id, subject_id, period_type, period_start, bucket) DO UPDATE
        SET reserved_micro = present.reserved_micro + :b_hold_micro,
            limit_micro = excluded.limit_micro,
            web_search_held = present.web_search_held + excluded.web_search_held,
            code_interpreter_held = present.code_interpreter_held + excluded.code_interpreter_held,
            updated_at = now()
        WHERE present.spent_micro + present.reserved_micro + :b_hold_micro <= excluded.limit_micro
          AND (excluded.web_search_held = 0 OR :b_searches_a_day
              >= present.web_search_calls + present.web_search_held + excluded.web_search_held)
          AND (excluded.code_interpreter_held = 0 OR :b_runs_a_day
              >= present.code_interpreter_calls + present.code_interpreter_held + excluded.code_interpreter_held)
        RETURNING 1
    )
    SELECT count(*) AS buckets FROM held
    """).bindparams(
        bindparam("b_tenant_id", type_=Uuid()),
        bindparam("b_hold_micro", type_=BigInteger()),
        bindparam("b_subjects", type_=ARRAY(Uuid())),
        bindparam("b_period_types", type_=ARRAY(Text())),
        bindparam("b_period_starts", type_=ARRAY(Date())),
        bindparam("b_buckets", type_=ARRAY(Text())),
        bindparam("b_limits", type_=ARRAY(BigInteger())),
        bindparam("b_web_searches", type_=ARRAY(BigInteger())),
        bindparam("b_code_runs", type_=ARRAY(BigInteger())),
        bindparam("b_searches_a_day", type_=BigInteger()),
        bindparam("b_runs_a_day", type_=BigInteger()),
    )
)


class PostgresQuotas:
    """Fills the port Quotas."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def standing(self) -> Standing:
        ours = {"b_tenant_id": self._scope.tenant_id, "b_user_id": self._scope.user_id}
        row = await _STANDING.one(driver_of(self._connection), ours)
        if row is None:
            raise LookupError
        return standing_of(row)

    async def reserve(self, claim: Claim) -> None:
        buckets = claim.hold.buckets
        values = {
            "b_tenant_id": self._scope.tenant_id,
            "b_hold_micro": claim.hold.credits_micro,
            "b_subjects": [self._subject_of(bucket.holder) for bucket in buckets],
            "b_period_types": [bucket.period.type for bucket in buckets],
            "b_period_starts": [bucket.period.start for bucket in buckets],
            "b_buckets": [bucket.name for bucket in buckets],
            "b_limits": [claim.limit_of(bucket) for bucket in buckets],
            "b_web_searches": [claim.tool_calls_in(bucket).web_search for bucket in buckets],
            "b_code_runs": [claim.tool_calls_in(bucket).code_interpreter for bucket in buckets],
            "b_searches_a_day": claim.tools.web_search_daily,
            "b_runs_a_day": claim.tools.code_interpreter_daily,
        }
        row = await _RESERVE.one(driver_of(self._connection), values)
        if row is None or row["buckets"] != len(buckets):
            raise LostRace("quota_buckets")

    def _subject_of(self, holder: Holder) -> UUID:
        return THE_TENANT if holder is Holder.TENANT else self._scope.user_id


def standing_of(row: asyncpg.Record) -> Standing:
    """From a row that has the columns STANDING."""
    set_: dict[str, list[int | None]] = row["limits"] or {}
    return Standing(
        now=row["seen_at"],
        limits=LimitSet(
            user=limits_of(set_.get("user")),
            user_defaults=limits_of(set_.get("user_default")),
            tenant=limits_of(set_.get("tenant")),
        ),
        counters=dict(_counters(row)),
    )


def limits_of(values: list[int | None] | None) -> Limits:
    """Total by day and month, then premium by day and month."""
    if values is None:
        return NO_LIMITS
    total_daily, total_monthly, premium_daily, premium_monthly = values
    return Limits(
        total=TierLimits(limit_daily_credits_micro=total_daily, limit_monthly_credits_micro=total_monthly),
        premium=TierLimits(limit_daily_credits_micro=premium_daily, limit_monthly_credits_micro=premium_monthly),
    )


def _counters(row: asyncpg.Record) -> Iterator[tuple[Bucket, Counter]]:
    present = {period.type: period for period in periods_at(row["seen_at"])}
    for of_tenant, name, period_type, spent_micro, reserved_micro, searches, code_runs in row["counters"] or ():
        holder = Holder.TENANT if of_tenant else Holder.USER
        bucket = Bucket(holder, BucketName(name), present[PeriodType(period_type)])
        calls = ToolCalls(web_search=searches, code_interpreter=code_runs)
        yield bucket, Counter(spent_micro=spent_micro, reserved_micro=reserved_micro, tool_calls=calls)

"""What a tenant spends on calls that no user asked for: its `system` bucket of the day, and the ledger."""

from datetime import date
from typing import Final

from sqlalchemy import BigInteger, Date, Text, Uuid, bindparam, text
from sqlalchemy.ext.asyncio import AsyncConnection

from domain.scope import AccessScope
from domain.system_calls.models import SettledCall
from domain.system_calls.ports import SystemEstimate
from infra.postgres.connection_pool import driver_of
from infra.postgres.prepared import Prepared

_BINDS: Final = (
    bindparam("b_tenant_id", type_=Uuid()),
    bindparam("b_call_id", type_=Uuid()),
    bindparam("b_chat_id", type_=Uuid()),
    bindparam("b_task", type_=Text()),
    bindparam("b_model", type_=Text()),
    bindparam("b_tier", type_=Text()),
    bindparam("b_policy_version", type_=BigInteger()),
    bindparam("b_input_tokens", type_=BigInteger()),
    bindparam("b_output_tokens", type_=BigInteger()),
    bindparam("b_credits_micro", type_=BigInteger()),
)

# `request_id` is the call's in both entries, so that the second names the first.
_CHARGE: Final = Prepared(
    text("""
    WITH charged AS (
        INSERT INTO mini_chat.quota_buckets AS present
            (tenant_id, subject_id, period_type, period_start, bucket, limit_micro, spent_micro)
        SELECT :b_tenant_id, '00000000-0000-0000-0000-000000000000', 'daily', (now() AT TIME ZONE 'UTC')::date,
            'system', :b_limit_micro, :b_credits_micro
        WHERE :b_credits_micro <= :b_limit_micro
        ON CONFLICT (tenant_id, subject_id, period_type, period_start, bucket) DO UPDATE
        SET spent_micro = present.spent_micro + :b_credits_micro,
            limit_micro = excluded.limit_micro,
            updated_at = now()
        WHERE present.spent_micro + :b_credits_micro <= excluded.limit_micro
        RETURNING subject_id, period_type, period_start, bucket
    ), entered AS (
        INSERT INTO mini_chat.ledger_entries (tenant_id, id, kind, chat_id, request_id, model, tier, usage_source,
            input_tokens, output_tokens, credits_micro, policy_version, subject_id, period_type, period_start, bucket,
            reason)
        SELECT :b_tenant_id, :b_call_id, 'system', :b_chat_id, :b_call_id, :b_model, :b_tier, 'estimated',
            :b_input_tokens, :b_output_tokens, :b_credits_micro, :b_policy_version, subject_id, period_type,
            period_start, bucket, :b_task
        FROM charged
    )
    SELECT period_start FROM charged
    """).bindparams(*_BINDS, bindparam("b_limit_micro", type_=BigInteger()))
)
_CORRECT: Final = Prepared(
    text("""
    WITH entered AS (
        INSERT INTO mini_chat.ledger_entries (tenant_id, kind, chat_id, request_id, model, tier, outcome, usage_source,
            input_tokens, output_tokens, credits_micro, policy_version, subject_id, period_type, period_start, bucket,
            reason)
        VALUES (:b_tenant_id, 'adjust', :b_chat_id, :b_call_id, :b_model, :b_tier, :b_outcome, :b_usage_source,
            :b_input_tokens, :b_output_tokens, :b_credits_micro, :b_policy_version,
            '00000000-0000-0000-0000-000000000000', 'daily', :b_day, 'system', :b_task)
    )
    UPDATE mini_chat.quota_buckets
    SET spent_micro = spent_micro + :b_credits_micro, updated_at = now()
    WHERE (tenant_id, subject_id, period_type, period_start, bucket)
        = (:b_tenant_id, '00000000-0000-0000-0000-000000000000', 'daily', :b_day, 'system')
    """).bindparams(
        *_BINDS,
        bindparam("b_day", type_=Date()),
        bindparam("b_outcome", type_=Text()),
        bindparam("b_usage_source", type_=Text()),
    )
)


class PostgresSystemCredits:
    """Fills the port SystemCredits."""

    def __init__(self, connection: AsyncConnection, scope: AccessScope) -> None:
        self._connection = connection
        self._scope = scope

    async def charge(self, estimate: SystemEstimate, limit_micro: int) -> date | None:
        values = {
            "b_tenant_id": self._scope.tenant_id,
            "b_call_id": estimate.call_id,
            "b_chat_id": estimate.chat_id,
            "b_task": estimate.task.value,
            "b_model": estimate.model,
            "b_tier": estimate.tier.value,
            "b_policy_version": estimate.policy_version,
            "b_input_tokens": estimate.input_tokens,
            "b_output_tokens": estimate.output_tokens,
            "b_credits_micro": estimate.credits_micro,
            "b_limit_micro": limit_micro,
        }
        row = await _CHARGE.one(driver_of(self._connection), values)
        return None if row is None else row["period_start"]

    async def correct(self, settled: SettledCall) -> None:
        call = settled.call
        values = {
            "b_tenant_id": self._scope.tenant_id,
            "b_call_id": call.id,
            "b_chat_id": call.chat_id,
            "b_task": call.task.value,
            "b_model": call.model,
            "b_tier": call.hold.tier.value,
            "b_policy_version": call.hold.policy_version,
            "b_outcome": "completed" if settled.succeeded else "failed",
            "b_usage_source": settled.usage.source.value,
            "b_input_tokens": settled.usage.input_tokens,
            "b_output_tokens": settled.usage.output_tokens,
            "b_credits_micro": settled.difference_micro,
            "b_day": call.hold.day,
        }
        await _CORRECT.one(driver_of(self._connection), values)

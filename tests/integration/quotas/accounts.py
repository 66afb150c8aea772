"""The rows of credits below all repositories, and rules that leave room for so many turns."""

from typing import Any

import asyncpg

from domain.catalogue.models import ModelSpec, Tier
from domain.quotas.limits import Limits, TierLimits
from domain.quotas.models import QuotaRules
from tests.harness.auditor import audit
from tests.harness.engine import MODEL
from tests.harness.postgres import Database
from tests.harness.rows import connected

HELLO_TOKENS, FLOOR = 113, 50
"""What `Hello` is estimated to be as a prompt, and the least that an answer is."""
HELLO_MICRO = HELLO_TOKENS + MODEL.max_output_tokens
"""What a turn that asks `Hello` holds."""

STANDARD = MODEL
PREMIUM = ModelSpec(
    id="large",
    provider_id="test",
    provider_model_id="large",
    tier=Tier.PREMIUM,
    input_tokens_credit_multiplier_micro=3_000_000,
)


def room_for(micro: int, *, premium_micro: int = 10**12) -> QuotaRules:
    """So much for each user and day."""
    return QuotaRules(
        defaults=Limits(
            total=TierLimits(limit_daily_credits_micro=micro, limit_monthly_credits_micro=10**12),
            premium=TierLimits(limit_daily_credits_micro=premium_micro, limit_monthly_credits_micro=10**12),
        )
    )


async def rows(database: Database, query: str, *values: object) -> list[asyncpg.Record]:
    async with connected(database.superuser_dsn) as connection:
        found: list[asyncpg.Record] = await connection.fetch(query, *values)
        return found


async def everything(database: Database) -> dict[str, int]:
    """How many rows there are of all that a send may write."""
    tables = ("chats", "messages", "chat_turns", "quota_buckets", "ledger_entries")
    return {table: (await rows(database, f"SELECT count(*) FROM mini_chat.{table}"))[0][0] for table in tables}  # noqa: S608 - our own names


async def bucket(database: Database, name: str = "total", period: str = "daily") -> Any:
    (only,) = await rows(
        database, "SELECT * FROM mini_chat.quota_buckets WHERE bucket = $1 AND period_type = $2", name, period
    )
    return only


async def audited(database: Database) -> None:
    await audit(database.superuser_dsn, [])

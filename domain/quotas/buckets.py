"""Which counters a turn is counted in (engine.md 4.2): those of its user, and of a tenant with limits."""

from enum import StrEnum

import msgspec

from domain.catalogue.models import Tier
from domain.quotas.periods import Period, PeriodType


class BucketName(StrEnum):
    TOTAL = "total"
    PREMIUM = "tier:premium"


class Holder(StrEnum):
    USER = "user"
    TENANT = "tenant"


class Bucket(msgspec.Struct, frozen=True):
    """One counter of one period."""

    holder: Holder
    name: BucketName
    period: Period

    @property
    def scope(self) -> str:
        """The `quota_scope` of a refusal (api.md 1.7)."""
        if self.holder is Holder.TENANT:
            return f"tenant:{self.period.type}"
        return f"{TIER_NAMES[self.name]}:{self.period.type}"


TIER_NAMES: dict[BucketName, str] = {BucketName.TOTAL: "total", BucketName.PREMIUM: "premium"}
"""Buckets as clients see them (api.md 3.9)."""


def buckets_of(tier: Tier, periods: tuple[Period, ...], *, tenant: bool) -> tuple[Bucket, ...]:
    """Every turn counts in `total`, one on a premium model in `tier:premium` as well; the user's buckets come first."""
    names = (BucketName.TOTAL, BucketName.PREMIUM) if tier is Tier.PREMIUM else (BucketName.TOTAL,)
    holders = (Holder.USER, Holder.TENANT) if tenant else (Holder.USER,)
    return tuple(Bucket(holder, name, period) for holder in holders for name in names for period in periods)


def counts_tool_calls(bucket: Bucket) -> bool:
    """Calls of tools are counted for each user and day, in no other bucket (engine.md 4.8)."""
    return (bucket.holder, bucket.name, bucket.period.type) == (Holder.USER, BucketName.TOTAL, PeriodType.DAILY)

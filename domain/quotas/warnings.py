"""How much is left, as users are told (api.md 3.2, 3.9)."""

from collections.abc import Iterator
from datetime import datetime

import msgspec

from domain.quotas.buckets import TIER_NAMES, Bucket, BucketName, Holder
from domain.quotas.limits import UNLIMITED_MICRO, limit_of
from domain.quotas.models import QuotaRules, Standing
from domain.quotas.periods import PeriodType, periods_at

_TOLD_IN_ORDER = (BucketName.PREMIUM, BucketName.TOTAL)


class QuotaLevel(msgspec.Struct, frozen=True, kw_only=True):
    """One bucket of one period. `exhausted` implies `warning`."""

    tier: str
    period: PeriodType
    limit_micro: int
    used_micro: int
    remaining_micro: int
    remaining_percentage: int
    next_reset: datetime
    warning: bool
    exhausted: bool


class QuotaStatus(msgspec.Struct, frozen=True, kw_only=True):
    levels: tuple[QuotaLevel, ...]
    warning_threshold_pct: int


def levels_of(holder: Holder, standing: Standing, rules: QuotaRules) -> tuple[QuotaLevel, ...]:
    """Premium before total, the day before the month; what admits nothing, or has no limit, is left out."""
    return tuple(_levels(holder, standing, rules))


def _levels(holder: Holder, standing: Standing, rules: QuotaRules) -> Iterator[QuotaLevel]:
    for name in _TOLD_IN_ORDER:
        for period in periods_at(standing.now):
            bucket = Bucket(holder, name, period)
            limit_micro = limit_of(bucket, standing.limits, rules.defaults)
            if 0 < limit_micro < UNLIMITED_MICRO:
                yield _level(bucket, limit_micro, standing.used_micro(bucket), rules.warning_threshold_pct)


def _level(bucket: Bucket, limit_micro: int, used_micro: int, threshold_pct: int) -> QuotaLevel:
    remaining_micro = max(limit_micro - used_micro, 0)
    remaining_percentage = remaining_micro * 100 // limit_micro
    return QuotaLevel(
        tier=TIER_NAMES[bucket.name],
        period=bucket.period.type,
        limit_micro=limit_micro,
        used_micro=used_micro,
        remaining_micro=remaining_micro,
        remaining_percentage=remaining_percentage,
        next_reset=bucket.period.next_reset,
        warning=remaining_percentage <= threshold_pct,
        exhausted=remaining_micro == 0,
    )

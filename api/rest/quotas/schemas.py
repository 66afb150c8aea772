"""Credits on the wire (api.md 3.9)."""

from itertools import groupby
from typing import Literal, Self

import msgspec

from api.rest.wire_types import Moment
from domain.clock import utc_text
from domain.quotas.warnings import QuotaLevel, QuotaStatus


class PeriodOut(msgspec.Struct, frozen=True, kw_only=True):
    """`used_credits_micro` is what was spent and what running turns hold."""

    period: Literal["daily", "monthly"]
    limit_credits_micro: int
    used_credits_micro: int
    remaining_credits_micro: int
    remaining_percentage: int
    next_reset: Moment
    warning: bool
    exhausted: bool

    @classmethod
    def of(cls, level: QuotaLevel) -> Self:
        return cls(
            period=level.period.value,
            limit_credits_micro=level.limit_micro,
            used_credits_micro=level.used_micro,
            remaining_credits_micro=level.remaining_micro,
            remaining_percentage=level.remaining_percentage,
            next_reset=utc_text(level.next_reset),
            warning=level.warning,
            exhausted=level.exhausted,
        )


class TierOut(msgspec.Struct, frozen=True, kw_only=True):
    tier: str
    periods: tuple[PeriodOut, ...]


class QuotaStatusOut(msgspec.Struct, frozen=True, kw_only=True):
    """A period whose limit is 0 is left out."""

    tiers: tuple[TierOut, ...]
    warning_threshold_pct: int

    @classmethod
    def of(cls, status: QuotaStatus) -> Self:
        return cls(tiers=tiers_of(status.levels), warning_threshold_pct=status.warning_threshold_pct)


def tiers_of(levels: tuple[QuotaLevel, ...]) -> tuple[TierOut, ...]:
    """In the order in which they come."""
    return tuple(
        TierOut(tier=tier, periods=tuple(map(PeriodOut.of, periods)))
        for tier, periods in groupby(levels, key=lambda level: level.tier)
    )

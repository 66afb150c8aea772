"""How many credits may be used: of a user, of each user of a tenant, of a tenant, of a deployment (engine.md 4.2)."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from domain.quotas.buckets import Bucket, BucketName, Holder
from domain.quotas.periods import PeriodType

UNLIMITED_MICRO: Final = 10**18

LimitMicro = Annotated[int, Meta(ge=0, le=UNLIMITED_MICRO)]


class TierLimits(msgspec.Struct, frozen=True, kw_only=True):
    """None: no value of its own. 0 admits nothing."""

    limit_daily_credits_micro: LimitMicro | None = None
    limit_monthly_credits_micro: LimitMicro | None = None

    def or_else(self, below: "TierLimits") -> "TierLimits":
        daily, monthly = self.limit_daily_credits_micro, self.limit_monthly_credits_micro
        return TierLimits(
            limit_daily_credits_micro=below.limit_daily_credits_micro if daily is None else daily,
            limit_monthly_credits_micro=below.limit_monthly_credits_micro if monthly is None else monthly,
        )


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    total: TierLimits = TierLimits()
    premium: TierLimits = TierLimits()

    def or_else(self, below: "Limits") -> "Limits":
        """These, and those of `below` where these are silent."""
        return Limits(total=self.total.or_else(below.total), premium=self.premium.or_else(below.premium))

    def of(self, name: BucketName, period: PeriodType) -> int | None:
        tier = self.premium if name is BucketName.PREMIUM else self.total
        return tier.limit_daily_credits_micro if period is PeriodType.DAILY else tier.limit_monthly_credits_micro


NO_LIMITS: Final = Limits()
"""No value of one's own, in none of the four places."""

DEPLOYMENT_DEFAULTS: Final = Limits(
    total=TierLimits(limit_daily_credits_micro=100_000_000, limit_monthly_credits_micro=1_000_000_000),
    premium=TierLimits(limit_daily_credits_micro=50_000_000, limit_monthly_credits_micro=500_000_000),
)


class LimitSet(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was set for one user of one tenant."""

    user: Limits = NO_LIMITS
    user_defaults: Limits = NO_LIMITS
    tenant: Limits = NO_LIMITS

    def effective(self, deployment: Limits) -> Limits:
        """The user's own, else the tenant's for its users, else the deployment's."""
        return self.user.or_else(self.user_defaults).or_else(deployment)

    @property
    def tenant_counts(self) -> bool:
        """Whether turns are counted in buckets of the tenant."""
        return self.tenant != NO_LIMITS


def limit_of(bucket: Bucket, limits: LimitSet, deployment: Limits) -> int:
    """What is limited nowhere is practically unlimited."""
    held_by = limits.tenant if bucket.holder is Holder.TENANT else limits.effective(deployment)
    limit = held_by.of(bucket.name, bucket.period.type)
    return UNLIMITED_MICRO if limit is None else limit

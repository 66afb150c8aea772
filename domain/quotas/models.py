"""What is known of somebody's credits, and what one turn holds of them."""

from datetime import date, datetime
from enum import StrEnum

import msgspec

from domain.catalogue.models import Tier
from domain.quotas.buckets import Bucket, buckets_of, counts_tool_calls
from domain.quotas.credits import Prices
from domain.quotas.limits import DEPLOYMENT_DEFAULTS, Limits, LimitSet, limit_of
from domain.quotas.periods import Period, PeriodType
from domain.tools.calls import NO_CALLS, ToolCalls, ToolLimits


class Counter(msgspec.Struct, frozen=True, kw_only=True):
    spent_micro: int = 0
    reserved_micro: int = 0
    tool_calls: ToolCalls = NO_CALLS
    """Called and held together."""

    @property
    def used_micro(self) -> int:
        return self.spent_micro + self.reserved_micro


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A user's limits and the counters of the present day and month, in one look; `now` is the database's."""

    now: datetime
    limits: LimitSet
    counters: dict[Bucket, Counter]

    def used_micro(self, bucket: Bucket) -> int:
        """Nothing where no turn has counted yet."""
        return self.counters.get(bucket, _UNTOUCHED).used_micro

    @property
    def tool_calls(self) -> ToolCalls:
        """What the user's messages of today have called, or may still call."""
        return next(
            (counter.tool_calls for each, counter in self.counters.items() if counts_tool_calls(each)), NO_CALLS
        )


_UNTOUCHED = Counter()


class QuotaRules(msgspec.Struct, frozen=True, kw_only=True):
    """What a deployment lays down for everybody."""

    defaults: Limits = DEPLOYMENT_DEFAULTS
    tools: ToolLimits = ToolLimits()
    overshoot_tolerance_pct: int = 110
    warning_threshold_pct: int = 20


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn was admitted with. It stays with the turn: whatever changes meanwhile, it is settled by these."""

    credits_micro: int
    tier: Tier
    prices: Prices
    estimated_input_tokens: int
    max_output_tokens: int
    generation_floor: int
    day: date
    month: date
    in_tenant_buckets: bool
    policy_version: int = 1
    tool_calls: ToolCalls = NO_CALLS

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        periods = Period(PeriodType.DAILY, self.day), Period(PeriodType.MONTHLY, self.month)
        return buckets_of(self.tier, periods, tenant=self.in_tenant_buckets)


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """A hold that the counters seemed to admit, with the limits that the database will be asked to keep."""

    hold: Hold
    limits: LimitSet
    deployment: Limits
    tools: ToolLimits = ToolLimits()

    def limit_of(self, bucket: Bucket) -> int:
        return limit_of(bucket, self.limits, self.deployment)

    def tool_calls_in(self, bucket: Bucket) -> ToolCalls:
        """What is held of the calls of tools in this bucket: they are counted in one alone."""
        return self.hold.tool_calls if counts_tool_calls(bucket) else NO_CALLS


class UsageSource(StrEnum):
    REPORTED = "reported"
    ESTIMATED = "estimated"
    UNKNOWN = "unknown"

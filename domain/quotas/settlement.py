"""What a turn is charged when it has ended (engine.md 4.7). Pure: everything it needs is the hold and the usage."""

from enum import StrEnum

import msgspec

from domain.quotas.credits import credits_micro
from domain.quotas.models import Hold, UsageSource


class SettlementMethod(StrEnum):
    ACTUAL = "actual"
    ESTIMATED = "estimated"
    RELEASED = "released"


class BillingOutcome(StrEnum):
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"


class Settlement(msgspec.Struct, frozen=True, kw_only=True):
    """`capped`: the report was beyond what was held by more than the tolerance."""

    method: SettlementMethod
    charged_micro: int
    capped: bool = False


RELEASED = Settlement(method=SettlementMethod.RELEASED, charged_micro=0)


def settle(hold: Hold, source: UsageSource, input_tokens: int, output_tokens: int, tolerance_pct: int) -> Settlement:
    """Reported usage is charged as it is within the tolerance; beyond it, and estimated, never more than was held."""
    if source is UsageSource.UNKNOWN:
        return RELEASED
    cost_micro = credits_micro(input_tokens, output_tokens, hold.prices)
    if source is UsageSource.ESTIMATED:
        return Settlement(method=SettlementMethod.ESTIMATED, charged_micro=min(cost_micro, hold.credits_micro))
    tokens, held_tokens = input_tokens + output_tokens, hold.estimated_input_tokens + hold.max_output_tokens
    if tokens * 100 <= held_tokens * tolerance_pct and cost_micro * 100 <= hold.credits_micro * tolerance_pct:
        return Settlement(method=SettlementMethod.ACTUAL, charged_micro=cost_micro)
    return Settlement(method=SettlementMethod.ACTUAL, charged_micro=min(cost_micro, hold.credits_micro), capped=True)


def released_micro(held_micro: int, charged_micro: int) -> int:
    """What comes back of a hold."""
    return max(held_micro - charged_micro, 0)

"""How much a turn has to hold before it may begin, and whether the counters admit it (engine.md 4.4)."""

from collections.abc import Iterator

from domain.catalogue.models import ModelSpec
from domain.quotas.buckets import Bucket
from domain.quotas.credits import Prices, credits_micro
from domain.quotas.limits import limit_of
from domain.quotas.models import Hold, QuotaRules, Standing
from domain.quotas.periods import periods_at
from domain.tools.calls import NO_CALLS, ToolCalls


def hold_for(
    model: ModelSpec,
    estimated_input_tokens: int,
    generation_floor: int,
    standing: Standing,
    policy_version: int = 1,
    tool_calls: ToolCalls = NO_CALLS,
) -> Hold:
    """The estimated input and the longest answer, at the model's prices of this version. Raises OutOfBounds."""
    prices = Prices(
        input_multiplier_micro=model.input_tokens_credit_multiplier_micro,
        output_multiplier_micro=model.output_tokens_credit_multiplier_micro,
    )
    day, month = periods_at(standing.now)
    return Hold(
        credits_micro=credits_micro(estimated_input_tokens, model.max_output_tokens, prices),
        tier=model.tier,
        prices=prices,
        estimated_input_tokens=estimated_input_tokens,
        max_output_tokens=model.max_output_tokens,
        generation_floor=generation_floor,
        day=day.start,
        month=month.start,
        in_tenant_buckets=standing.limits.tenant_counts,
        policy_version=policy_version,
        tool_calls=tool_calls,
    )


def blocking(hold: Hold, standing: Standing, rules: QuotaRules) -> Iterator[Bucket]:
    """The buckets that do not have room for it."""
    for bucket in hold.buckets:
        if standing.used_micro(bucket) + hold.credits_micro > limit_of(bucket, standing.limits, rules.defaults):
            yield bucket

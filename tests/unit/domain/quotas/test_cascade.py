"""engine.md 4.4, api.md 1.7: premium, else standard, else a refusal that says when to come back."""

from datetime import UTC, datetime

import pytest

from domain.catalogue.models import ModelSpec
from domain.errors import QuotaExceeded
from domain.quotas.buckets import Bucket
from domain.quotas.cascade import first_admitted
from domain.quotas.limits import Limits, LimitSet, TierLimits
from domain.quotas.models import Counter, Standing
from domain.quotas.periods import periods_at
from tests.unit.domain.quotas.amounts import (
    NOON,
    PREMIUM,
    PREMIUM_DAY,
    PREMIUM_MONTH,
    RULES,
    STANDARD,
    TENANT_DAY,
    TOTAL_DAY,
    TOTAL_MONTH,
    hold,
    standing,
)

MIDNIGHT, NEXT_MONTH = datetime(2026, 4, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
MID_MONTH = datetime(2026, 3, 10, 12, tzinfo=UTC)


def chosen(seen: Standing, *models: ModelSpec) -> ModelSpec:
    model, _ = first_admitted([(model, hold(model, seen)) for model in models], seen, RULES)
    return model


def test_a_turn_holds_what_the_worked_examples_say() -> None:
    assert hold(PREMIUM).credits_micro == 72_210
    assert hold(STANDARD).credits_micro == 5_455


def test_the_worked_example_is_answered_by_the_standard_model() -> None:
    seen = standing(spent={PREMIUM_DAY: 49_950_000, TOTAL_DAY: 49_950_000})
    assert chosen(seen, PREMIUM, STANDARD) is STANDARD


def test_a_bucket_may_be_filled_to_the_brim() -> None:
    brim = 50_000_000 - 72_210
    assert chosen(standing(spent={PREMIUM_DAY: brim}), PREMIUM, STANDARD) is PREMIUM
    assert chosen(standing(spent={PREMIUM_DAY: brim + 1}), PREMIUM, STANDARD) is STANDARD


def test_what_others_hold_is_not_there_either() -> None:
    seen = Standing(now=NOON, limits=LimitSet(), counters={PREMIUM_DAY: Counter(reserved_micro=49_950_000)})
    assert chosen(seen, PREMIUM, STANDARD) is STANDARD


def refusal(seen: Standing, *models: ModelSpec) -> tuple[str, datetime]:
    with pytest.raises(QuotaExceeded) as refused:
        chosen(seen, *models)
    assert refused.value.retry_after is not None
    return str(refused.value.members["quota_scope"]), seen.now + refused.value.retry_after


FULL = 10**12
LIMITED_TENANT = LimitSet(tenant=Limits(total=TierLimits(limit_daily_credits_micro=10)))
REFUSALS: list[tuple[dict[Bucket, int], LimitSet, tuple[ModelSpec, ...], str]] = [
    ({TOTAL_DAY: FULL}, LimitSet(), (STANDARD,), "total:daily"),
    ({TOTAL_MONTH: FULL}, LimitSet(), (STANDARD,), "total:monthly"),
    ({PREMIUM_DAY: FULL}, LimitSet(), (PREMIUM,), "premium:daily"),
    ({PREMIUM_MONTH: FULL}, LimitSet(), (PREMIUM,), "premium:monthly"),
    ({TENANT_DAY: 5}, LIMITED_TENANT, (STANDARD,), "tenant:daily"),
    ({PREMIUM_DAY: FULL, TOTAL_DAY: FULL}, LimitSet(), (PREMIUM, STANDARD), "total:daily"),
]


@pytest.mark.parametrize(("spent", "limits", "models", "scope"), REFUSALS)
def test_the_bucket_in_the_way_is_named(
    spent: dict[Bucket, int], limits: LimitSet, models: tuple[ModelSpec, ...], scope: str
) -> None:
    named, reset = refusal(standing(limits=limits, spent=spent), *models)
    assert named == scope
    assert reset == MIDNIGHT


def in_mid_month(spent: dict[Bucket, int]) -> Standing:
    present = {period.type: period for period in periods_at(MID_MONTH)}
    counters = {
        Bucket(each.holder, each.name, present[each.period.type]): Counter(spent_micro=micro)
        for each, micro in spent.items()
    }
    return Standing(now=MID_MONTH, limits=LimitSet(), counters=counters)


def test_of_several_buckets_in_the_way_the_last_to_be_reset_is_named() -> None:
    assert refusal(in_mid_month({TOTAL_DAY: FULL, TOTAL_MONTH: FULL}), STANDARD) == ("total:monthly", NEXT_MONTH)


def test_of_several_models_the_first_to_be_free_again_decides() -> None:
    seen = in_mid_month({PREMIUM_MONTH: FULL, TOTAL_DAY: FULL})
    assert refusal(seen, PREMIUM, STANDARD) == ("total:daily", datetime(2026, 3, 11, tzinfo=UTC))


def test_a_limit_of_nothing_admits_nothing() -> None:
    nothing = LimitSet(user=Limits(total=TierLimits(limit_daily_credits_micro=0)))
    assert refusal(standing(limits=nothing), PREMIUM, STANDARD) == ("total:daily", MIDNIGHT)

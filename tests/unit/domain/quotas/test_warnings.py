"""api.md 3.2 and 3.9: how much is left, and when to warn."""

from datetime import UTC, datetime

import pytest

from domain.quotas.buckets import Bucket, Holder
from domain.quotas.limits import Limits, LimitSet, TierLimits
from domain.quotas.warnings import QuotaLevel, levels_of
from tests.unit.domain.quotas.amounts import PREMIUM_DAY, RULES, TENANT_DAY, TOTAL_DAY, standing

HUNDRED = Limits(
    total=TierLimits(limit_daily_credits_micro=100, limit_monthly_credits_micro=0),
    premium=TierLimits(limit_daily_credits_micro=0, limit_monthly_credits_micro=0),
)


def level(used: int) -> QuotaLevel:
    (only,) = levels_of(Holder.USER, standing(limits=LimitSet(user=HUNDRED), spent={TOTAL_DAY: used}), RULES)
    return only


LEVELS = [(0, 100, False, False), (79, 21, False, False), (80, 20, True, False), (99, 1, True, False)]
LEVELS += [(100, 0, True, True), (110, 0, True, True)]


@pytest.mark.parametrize(("used", "percentage", "warning", "exhausted"), LEVELS)
def test_a_fifth_that_is_left_warns_and_a_little_more_does_not(
    used: int, percentage: int, *, warning: bool, exhausted: bool
) -> None:
    told = level(used)
    assert (told.remaining_percentage, told.warning, told.exhausted) == (percentage, warning, exhausted)
    assert told.remaining_micro == max(100 - used, 0)


def test_less_than_a_hundredth_is_not_rounded_up_to_one() -> None:
    limits = LimitSet(user=Limits(total=TierLimits(limit_daily_credits_micro=1_000), premium=HUNDRED.premium))
    told = levels_of(Holder.USER, standing(limits=limits, spent={TOTAL_DAY: 999}), RULES)
    assert (told[0].remaining_percentage, told[0].exhausted) == (0, False)


def test_premium_comes_before_total_and_the_day_before_the_month() -> None:
    told = levels_of(Holder.USER, standing(spent={PREMIUM_DAY: 1}), RULES)
    assert [(each.tier, each.period) for each in told] == [
        ("premium", "daily"),
        ("premium", "monthly"),
        ("total", "daily"),
        ("total", "monthly"),
    ]
    assert [each.used_micro for each in told] == [1, 0, 0, 0]
    assert {each.next_reset for each in told} == {datetime(2026, 4, 1, tzinfo=UTC)}


def test_of_a_tenant_only_what_has_a_limit_is_told() -> None:
    limits = LimitSet(tenant=Limits(total=TierLimits(limit_daily_credits_micro=50)))
    spent: dict[Bucket, int] = {TENANT_DAY: 30, TOTAL_DAY: 1}
    (told,) = levels_of(Holder.TENANT, standing(limits=limits, spent=spent), RULES)
    assert (told.tier, told.period, told.used_micro, told.limit_micro) == ("total", "daily", 30, 50)

"""engine.md 4.2, api.md 3.11: whose limit counts, and in which buckets a turn is counted."""

from domain.catalogue.models import Tier
from domain.quotas.buckets import BucketName, Holder, buckets_of
from domain.quotas.limits import NO_LIMITS, UNLIMITED_MICRO, Limits, LimitSet, TierLimits, limit_of
from tests.unit.domain.quotas.amounts import (
    DAY,
    MONTH,
    PREMIUM_DAY,
    PREMIUM_MONTH,
    RULES,
    TENANT_DAY,
    TOTAL_DAY,
    TOTAL_MONTH,
)


def daily(micro: int | None) -> Limits:
    return Limits(total=TierLimits(limit_daily_credits_micro=micro))


def test_the_users_own_value_counts_before_the_tenants_and_that_before_the_deployments() -> None:
    own, common = LimitSet(user=daily(7), user_defaults=daily(8)), LimitSet(user_defaults=daily(8))
    assert limit_of(TOTAL_DAY, own, RULES.defaults) == 7
    assert limit_of(TOTAL_DAY, common, RULES.defaults) == 8
    assert limit_of(TOTAL_DAY, LimitSet(), RULES.defaults) == 100_000_000


def test_each_value_is_inherited_on_its_own() -> None:
    limits = LimitSet(user=daily(7))
    assert limit_of(TOTAL_MONTH, limits, RULES.defaults) == 1_000_000_000
    assert limit_of(PREMIUM_DAY, limits, RULES.defaults) == 50_000_000
    assert limit_of(PREMIUM_MONTH, limits, RULES.defaults) == 500_000_000


def test_nothing_is_a_value_too() -> None:
    assert limit_of(TOTAL_DAY, LimitSet(user=daily(0), user_defaults=daily(8)), RULES.defaults) == 0


def test_a_tenant_is_unlimited_where_it_says_nothing() -> None:
    assert limit_of(TENANT_DAY, LimitSet(), RULES.defaults) == UNLIMITED_MICRO
    assert limit_of(TENANT_DAY, LimitSet(tenant=daily(9)), RULES.defaults) == 9


def test_a_tenant_counts_as_soon_as_it_has_any_limit() -> None:
    assert not LimitSet(user=daily(1), user_defaults=daily(2)).tenant_counts
    assert LimitSet(tenant=daily(0)).tenant_counts
    assert not LimitSet(tenant=NO_LIMITS).tenant_counts


def test_a_premium_turn_counts_in_both_names_and_a_standard_one_in_the_total() -> None:
    assert buckets_of(Tier.STANDARD, (DAY, MONTH), tenant=False) == (TOTAL_DAY, TOTAL_MONTH)
    assert buckets_of(Tier.PREMIUM, (DAY, MONTH), tenant=False) == (TOTAL_DAY, TOTAL_MONTH, PREMIUM_DAY, PREMIUM_MONTH)


def test_a_tenant_with_limits_has_the_same_buckets() -> None:
    both = buckets_of(Tier.PREMIUM, (DAY, MONTH), tenant=True)
    assert len(both) == len(set(both)) == 8
    assert [(bucket.name, bucket.period) for bucket in both[:4]] == [(each.name, each.period) for each in both[4:]]
    assert {bucket.holder for bucket in both[4:]} == {Holder.TENANT}


def test_a_bucket_is_named_to_people_by_tier_or_tenant() -> None:
    assert [bucket.scope for bucket in buckets_of(Tier.PREMIUM, (DAY, MONTH), tenant=True)] == [
        "total:daily",
        "total:monthly",
        "premium:daily",
        "premium:monthly",
        "tenant:daily",
        "tenant:monthly",
        "tenant:daily",
        "tenant:monthly",
    ]
    assert {bucket.name for bucket in buckets_of(Tier.STANDARD, (DAY,), tenant=True)} == {BucketName.TOTAL}

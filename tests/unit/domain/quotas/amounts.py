"""The plan of the worked examples (engine.md 4.3 to 4.9)."""

from datetime import UTC, datetime

from domain.catalogue.models import ModelSpec, Tier
from domain.quotas.buckets import Bucket, BucketName, Holder
from domain.quotas.credits import Prices
from domain.quotas.limits import DEPLOYMENT_DEFAULTS, LimitSet
from domain.quotas.models import Counter, Hold, QuotaRules, Standing
from domain.quotas.periods import Period, PeriodType
from domain.quotas.reservation import hold_for

NOON = datetime(2026, 3, 31, 12, tzinfo=UTC)
DAY, MONTH = Period(PeriodType.DAILY, NOON.date()), Period(PeriodType.MONTHLY, NOON.date().replace(day=1))
PLAN_TOKENS, FLOOR = 3_590, 50
RULES = QuotaRules(defaults=DEPLOYMENT_DEFAULTS)

PREMIUM = ModelSpec(
    id="aurora-large",
    provider_id="p",
    provider_model_id="large",
    tier=Tier.PREMIUM,
    max_output_tokens=4_096,
    input_tokens_credit_multiplier_micro=3_000_000,
    output_tokens_credit_multiplier_micro=15_000_000,
)
STANDARD = ModelSpec(
    id="aurora-mini",
    provider_id="p",
    provider_model_id="mini",
    max_output_tokens=8_192,
    input_tokens_credit_multiplier_micro=150_000,
    output_tokens_credit_multiplier_micro=600_000,
)
PREMIUM_PRICES = Prices(input_multiplier_micro=3_000_000, output_multiplier_micro=15_000_000)


def user_bucket(name: BucketName, period: Period) -> Bucket:
    return Bucket(Holder.USER, name, period)


PREMIUM_DAY = user_bucket(BucketName.PREMIUM, DAY)
PREMIUM_MONTH = user_bucket(BucketName.PREMIUM, MONTH)
TOTAL_DAY = user_bucket(BucketName.TOTAL, DAY)
TOTAL_MONTH = user_bucket(BucketName.TOTAL, MONTH)
TENANT_DAY = Bucket(Holder.TENANT, BucketName.TOTAL, DAY)


def standing(*, limits: LimitSet | None = None, spent: dict[Bucket, int] | None = None) -> Standing:
    counters = {bucket: Counter(spent_micro=micro) for bucket, micro in (spent or {}).items()}
    return Standing(now=NOON, limits=limits or LimitSet(), counters=counters)


def hold(model: ModelSpec = PREMIUM, seen: Standing | None = None) -> Hold:
    return hold_for(model, PLAN_TOKENS, FLOOR, seen or standing())

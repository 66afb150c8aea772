"""The first model that the counters admit; else when to come back (engine.md 4.4, api.md 1.7)."""

from collections.abc import Iterable
from typing import TypeVar

from domain.errors import QuotaExceeded
from domain.quotas.buckets import Bucket
from domain.quotas.models import Hold, QuotaRules, Standing
from domain.quotas.reservation import blocking

T = TypeVar("T")


def first_admitted(offers: Iterable[tuple[T, Hold]], standing: Standing, rules: QuotaRules) -> tuple[T, Hold]:
    """Offers come in order of preference, at least one. Raises QuotaExceeded when none is admitted.

    One offer waits for the last of its blocking buckets to be reset; the caller waits for the first such offer.
    """
    refusals: list[Bucket] = []
    for offer, hold in offers:
        blocked_by = list(blocking(hold, standing, rules))
        if not blocked_by:
            return offer, hold
        refusals.append(max(blocked_by, key=_reset))
    # Among equals the last one: what stands in the way of the standard model, not of the premium one before it.
    bucket = min(reversed(refusals), key=_reset)
    raise QuotaExceeded(bucket.scope, bucket.period.next_reset - standing.now)


def _reset(bucket: Bucket) -> float:
    return bucket.period.next_reset.timestamp()

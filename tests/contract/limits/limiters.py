"""The ways of counting uses, as the application puts them together."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final
from uuid import uuid4

from domain.clock import SystemClock
from domain.limits.models import RatePolicy, Use
from domain.limits.ports import RateLimiter
from domain.telemetry.ports import SilentTelemetry
from infra.local.rate_limiter import LocalRateLimiter
from infra.redis.client import RedisClient
from infra.redis.rate_limiter import RedisRateLimiter

PATIENT: Final = timedelta(seconds=5)
"""A busy machine must not look like a Redis that is gone."""

WINDOW: Final = timedelta(seconds=60)
SHORT: Final = timedelta(milliseconds=600)


class NoTwin:
    """Where the twin must not be asked."""

    async def take(self, uses: object) -> object:
        raise AssertionError("Redis did not answer")

    async def give_back(self, permit: object) -> None:
        raise AssertionError("Redis did not answer")


def local() -> LocalRateLimiter:
    return LocalRateLimiter(SystemClock().monotonic)


@asynccontextmanager
async def over_redis(url: str, twin: RateLimiter, patience: timedelta = PATIENT) -> AsyncIterator[RedisRateLimiter]:
    async with RedisClient(url, patience, SystemClock().monotonic, SilentTelemetry()) as client:
        yield RedisRateLimiter(client, twin)


def a_policy(quota: int, name: str = "requests", window: timedelta = WINDOW) -> RatePolicy:
    return RatePolicy(name=name, quota=quota, window=window)


def a_use(policy: RatePolicy, count: int = 1, holder: str | None = None) -> Use:
    """By somebody new, unless named."""
    return Use(policy, holder or uuid4().hex, count)

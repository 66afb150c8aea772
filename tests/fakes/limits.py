"""Rates that nobody reaches."""

from domain.clock import SystemClock
from domain.limits.rates import Quotas, Rates
from domain.telemetry.ports import SilentTelemetry
from infra.local.rate_limiter import LocalRateLimiter


def counting(quotas: Quotas) -> Rates:
    return Rates(LocalRateLimiter(SystemClock().monotonic), quotas, SilentTelemetry())


def unlimited() -> Rates:
    return counting(Quotas())

"""Slows down whoever keeps presenting credentials that are refused."""

from collections.abc import Sequence
from typing import Final

from domain.limits.holders import address_holder
from domain.limits.models import RatePolicy, Use, violated
from domain.limits.ports import RateLimiter
from domain.limits.rates import refusal_of
from domain.telemetry.ports import Counted, Telemetry

_NAME: Final = "address"


class AddressBrake:
    """Counts refused credentials by client address. A quota of 0 counts nothing.

    Of use before the credential is looked at: whoever may guess on learns from the answer, whatever it says.
    """

    def __init__(self, limiter: RateLimiter, failures_per_minute: int, telemetry: Telemetry) -> None:
        self._limiter = limiter
        self._policy = RatePolicy(name=_NAME, quota=failures_per_minute)
        self._telemetry = telemetry

    async def require(self, address: str | None) -> None:
        """Raises RateLimited while no further failure would be allowed. Counts nothing itself."""
        if not (uses := self._uses(address, 0)):
            return
        verdict = await self._limiter.take(uses)
        if over := violated(self._uses(address, 1), verdict.standings):
            self._telemetry.count(Counted.RATE_LIMITED, scope=_NAME)
            raise refusal_of(over)

    async def note_failure(self, address: str | None) -> None:
        if uses := self._uses(address, 1):
            await self._limiter.take(uses)

    def _uses(self, address: str | None, count: int) -> Sequence[Use]:
        if address is None or not self._policy.quota:
            return ()
        return (Use(self._policy, address_holder(address), count),)

"""Where uses are counted."""

from collections.abc import Sequence
from typing import Protocol

from domain.limits.models import Permit, Use, Verdict


class RateLimiter(Protocol):
    async def take(self, uses: Sequence[Use]) -> Verdict:
        """Counts all of the uses if every policy has room for them, else none: one atomic step, however many ask.

        Never raises for a counter that cannot be reached, and never waits long for one.
        """
        ...

    async def give_back(self, permit: Permit) -> None:
        """As if these uses had never been. What cannot be given back leaves its window by itself."""
        ...

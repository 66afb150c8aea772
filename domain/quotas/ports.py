"""What credits need from the store."""

from typing import Protocol

from domain.quotas.models import Claim, Standing


class Quotas(Protocol):
    """Sees the credits of the scope's user and those of its tenant as a whole, nobody else's."""

    async def standing(self) -> Standing:
        """Limits and present counters in one look."""
        ...

    async def reserve(self, claim: Claim) -> None:
        """Adds the hold to every bucket of its turn in one statement, in one order for all who do so at once.

        Raises LostRace when one of them has no room: what the transaction has written must not be committed.
        """
        ...


class QuotaTx(Protocol):
    @property
    def quotas(self) -> Quotas: ...

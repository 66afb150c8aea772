"""What credits need from the store."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from domain.audit.ports import EventTx
from domain.ids import TenantId, UserId
from domain.quotas.buckets import BucketName
from domain.quotas.limits import Limits
from domain.quotas.models import Claim, Standing
from domain.quotas.periods import Period


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


class HeldBucket(msgspec.Struct, frozen=True, kw_only=True):
    """Names a bucket in which something is held. `subject_id` nil: it is the tenant's own."""

    tenant_id: TenantId
    subject_id: UUID
    period: Period
    name: BucketName


class HeldBuckets(Protocol):
    """Spans tenants: tells where something is held, not how much of what."""

    async def find(self, after: HeldBucket | None, at_most: int) -> Sequence[HeldBucket]:
        """In one order, those that come after the given one. Raises ServiceUnavailable."""
        ...


class HoldDifference(msgspec.Struct, frozen=True, kw_only=True):
    """`micro` is positive where too many credits were held; `tool_calls` is how many calls too many or too few."""

    micro: int
    tool_calls: int


class HoldAudit(Protocol):
    async def correct(self, bucket: HeldBucket) -> HoldDifference | None:
        """Locks the counter and compares it with what the running turns hold; a difference is corrected.

        One of credits is entered in the ledger too. A difference is a fact, for holds and states of turns change
        together under this lock.
        """
        ...


class HoldAuditTx(EventTx, Protocol):
    @property
    def hold_audit(self) -> HoldAudit: ...


class QuotaTx(Protocol):
    @property
    def quotas(self) -> Quotas: ...


class LimitPlace(StrEnum):
    USER = "user"
    USER_DEFAULT = "user_default"
    TENANT = "tenant"


class QuotaLimits(Protocol):
    """The limits of the scope's user and tenant, as they are set."""

    async def tenant_exists(self) -> bool:
        """Whether anything was ever created in it or set for it."""
        ...

    async def version(self, place: LimitPlace) -> int:
        """0 where nothing was ever set."""
        ...

    async def put(self, place: LimitPlace, limits: Limits, by: UserId, expected: int | None) -> bool:
        """Replaces them as a whole; False, and nothing changes, when another version than the expected one is there."""
        ...


class LimitTx(QuotaTx, EventTx, Protocol):
    @property
    def limits(self) -> QuotaLimits: ...

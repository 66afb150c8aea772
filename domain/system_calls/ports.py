"""What system calls need from the store."""

from datetime import date
from typing import Protocol
from uuid import UUID

import msgspec

from domain.audit.ports import EventTx
from domain.catalogue.models import Tier
from domain.ids import ChatId
from domain.system_calls.models import SettledCall, SystemTask


class SystemEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a call may cost at most, but for the tolerance."""

    call_id: UUID
    task: SystemTask
    chat_id: ChatId
    model: str
    tier: Tier
    policy_version: int
    input_tokens: int
    output_tokens: int
    credits_micro: int


class SystemCredits(Protocol):
    """The `system` bucket of the scope's tenant, which users neither see nor pay for."""

    async def charge(self, estimate: SystemEstimate, limit_micro: int) -> date | None:
        """Charges the estimate to the bucket of today and enters it in the ledger, in one statement.

        Tells the day; None, and nothing changes, where the bucket has no room for it.
        """
        ...

    async def correct(self, settled: SettledCall) -> None:
        """Makes of the estimate what the call has cost, in the bucket of its day and in the ledger."""
        ...


class SystemCallTx(EventTx, Protocol):
    @property
    def system_credits(self) -> SystemCredits: ...

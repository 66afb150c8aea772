"""Names for the identifiers, and the making of new ones."""

import secrets
from datetime import datetime
from typing import NewType
from uuid import UUID

TenantId = NewType("TenantId", UUID)
UserId = NewType("UserId", UUID)
ChatId = NewType("ChatId", UUID)
MessageId = NewType("MessageId", UUID)
TurnId = NewType("TurnId", UUID)
RequestId = NewType("RequestId", UUID)
OwnerId = NewType("OwnerId", UUID)
EventId = NewType("EventId", UUID)

NIL_TENANT = TenantId(UUID(int=0))
"""To whom belongs what concerns the whole platform."""

_RANDOM_BITS = 74
_VARIANT_BITS = 62


def uuid7(now: datetime) -> UUID:
    """A UUID version 7 (RFC 9562, section 5.7): 48 bits of milliseconds, the rest random."""
    random = secrets.randbits(_RANDOM_BITS)
    high = (int(now.timestamp() * 1000) << 16) | (7 << 12) | (random >> _VARIANT_BITS)
    low = (0b10 << _VARIANT_BITS) | (random & ((1 << _VARIANT_BITS) - 1))
    return UUID(int=(high << 64) | low)

"""From the names an identity provider uses to the UUIDs that rows are keyed by.

A name that is a UUID in its usual form is taken as it is. Any other name becomes a UUIDv5, always the
same one. A user's name is hashed under its tenant, so `alice` of one tenant and `alice` of another are
two users, and a user can never be mistaken for a tenant.
"""

import re
from uuid import UUID, uuid5

from domain.ids import TenantId, UserId

MAX_NAME_CHARS = 256

_TENANT_NAMES = UUID("6c2a2f0e-3f3c-5d7e-9a55-2f6f1c1d7b10")
_CANONICAL = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_NIL = UUID(int=0)


def tenant_id_for(name: str) -> TenantId:
    """Raises ValueError for a name that is blank, too long, no Unicode text, or the nil UUID."""
    return TenantId(_uuid_for(name, _TENANT_NAMES))


def user_id_for(tenant_id: TenantId, name: str) -> UserId:
    """Raises ValueError like `tenant_id_for`. The nil UUID stands for the tenant itself, so nobody may bear it."""
    return UserId(_uuid_for(name, tenant_id))


def _uuid_for(name: str, namespace: UUID) -> UUID:
    if not name.strip() or len(name) > MAX_NAME_CHARS:
        raise ValueError("a name has 1 to 256 characters and is not blank")
    found = UUID(name) if _CANONICAL.fullmatch(name) else uuid5(namespace, name)
    if found == _NIL:
        raise ValueError("the nil UUID names nobody")
    return found

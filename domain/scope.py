"""What a unit of work may touch: the rows of one tenant, and among them those of one owner."""

import msgspec

from domain.ids import TenantId, UserId
from domain.subject import Subject


class AccessScope(msgspec.Struct, frozen=True, kw_only=True):
    """Opens a transaction. Get one from `scope_for`, or keep the one a turn was started under."""

    tenant_id: TenantId
    user_id: UserId


def scope_for(subject: Subject) -> AccessScope:
    return AccessScope(tenant_id=subject.tenant_id, user_id=subject.user_id)

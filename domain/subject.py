"""Who acts: the authenticated principal of one call."""

from datetime import datetime
from enum import StrEnum

import msgspec

from domain.ids import TenantId, UserId


class AuthMethod(StrEnum):
    JWT = "jwt"
    DEV = "dev"


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """Made by a token verifier only. `roles` and `features` are what the credential grants, nothing inferred."""

    tenant_id: TenantId
    user_id: UserId
    roles: frozenset[str]
    features: frozenset[str]
    auth_method: AuthMethod
    expires_at: datetime | None = None

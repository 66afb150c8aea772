"""A caller as the server understands its credential (api.md 3.9)."""

from typing import Self

import msgspec
from msgspec import UNSET, UnsetType

from api.rest.wire_types import Id, Moment
from domain.clock import utc_text
from domain.subject import Subject


class MeOut(msgspec.Struct, frozen=True, kw_only=True):
    subject_id: Id
    tenant_id: Id
    roles: tuple[str, ...]
    features: tuple[str, ...]
    auth_method: str
    expires_at: Moment | UnsetType = UNSET

    @classmethod
    def of(cls, subject: Subject) -> Self:
        return cls(
            subject_id=str(subject.user_id),
            tenant_id=str(subject.tenant_id),
            roles=tuple(sorted(subject.roles)),
            features=tuple(sorted(subject.features)),
            auth_method=subject.auth_method.value,
            expires_at=UNSET if subject.expires_at is None else utc_text(subject.expires_at),
        )

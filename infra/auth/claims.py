"""From the claims of a verified token to the subject it stands for."""

from collections.abc import Mapping
from datetime import UTC, datetime

import msgspec

from domain.auth.policy import Role
from domain.subject import AuthMethod, Subject
from infra.auth.principals import tenant_id_for, user_id_for
from infra.auth.refusal import Reason, Refused

MAX_GRANTS = 100


class ClaimNames(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    tenant: str = "tenant_id"
    subject: str = "sub"
    roles: str = "roles"
    features: str = "features"


def subject_from(claims: Mapping[str, object], names: ClaimNames, method: AuthMethod) -> Subject:
    """Raises Refused when the tenant or subject claim is missing or unusable, or a grant is no list of words.

    A token without a roles claim is a plain user's; one with an empty list has no role at all (engine.md 7.1).
    """
    try:
        tenant_id = tenant_id_for(_text(claims, names.tenant))
    except ValueError:
        raise Refused(Reason.TENANT_CLAIM) from None
    try:
        user_id = user_id_for(tenant_id, _text(claims, names.subject))
    except ValueError:
        raise Refused(Reason.SUBJECT_CLAIM) from None
    return Subject(
        tenant_id=tenant_id,
        user_id=user_id,
        roles=_words(claims.get(names.roles, [Role.USER.value])),
        features=_words(claims.get(names.features, [])),
        auth_method=method,
        expires_at=_moment(claims.get("exp")),
    )


def _text(claims: Mapping[str, object], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


def _words(claim: object) -> frozenset[str]:
    """A JSON list of strings, or one string with words between spaces as in an OAuth scope."""
    if isinstance(claim, str):
        return frozenset(claim.split()[:MAX_GRANTS])
    if isinstance(claim, list) and len(claim) <= MAX_GRANTS and all(isinstance(word, str) for word in claim):
        return frozenset(claim)
    raise Refused(Reason.GRANT_CLAIM)


def _moment(seconds: object) -> datetime | None:
    if not isinstance(seconds, int | float):
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC)

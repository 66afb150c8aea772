"""The development mode: no identity provider, one fixed principal, and tokens this machine signs for itself.

It is meant for one machine only. `domain.auth.loopback` says which addresses and Host headers that allows.
"""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta

import jwt

from domain.auth.policy import LICENCE_FEATURE, Role
from domain.errors import Unauthorized
from domain.subject import AuthMethod, Subject
from infra.auth.claims import ClaimNames, subject_from
from infra.auth.principals import tenant_id_for, user_id_for
from infra.auth.refusal import Refused
from infra.auth.token_check import Expected, claims_of, header_of

DEV_TENANT = "dev"
DEV_USER = "dev"

_ALGORITHM = "HS256"
_EXPECTED = Expected(issuer="mini-chat-dev", audiences=("mini-chat-dev",))
_NAMES = ClaimNames()

_log = logging.getLogger(__name__)


def dev_principal() -> Subject:
    """The same on every machine and after every restart: what `--tenant dev --user dev` names."""
    tenant_id = tenant_id_for(DEV_TENANT)
    return Subject(
        tenant_id=tenant_id,
        user_id=user_id_for(tenant_id, DEV_USER),
        roles=frozenset({Role.USER.value}),
        features=frozenset({LICENCE_FEATURE}),
        auth_method=AuthMethod.DEV,
    )


class DevVerifier:
    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self._principal = dev_principal()

    async def verify(self, token: str | None) -> Subject:
        if token is None:
            return self._principal
        try:
            header = header_of(token, frozenset({_ALGORITHM}))
            claims = claims_of(token, self._secret, header.algorithm, _EXPECTED)
            return subject_from(claims, _NAMES, AuthMethod.DEV)
        except Refused as refusal:
            _log.info("credential refused", extra={"reason": refusal.reason.value})
            raise Unauthorized(presented=True) from None


def issue_dev_token(
    secret: bytes, *, tenant: str, user: str, roles: Sequence[str], ttl: timedelta, now: datetime
) -> str:
    """A token DevVerifier accepts until `now + ttl`. Raises ValueError for a name nobody can bear."""
    user_id_for(tenant_id_for(tenant), user)
    claims = {
        "iss": _EXPECTED.issuer,
        "aud": _EXPECTED.audiences[0],
        "iat": now,
        "exp": now + ttl,
        _NAMES.tenant: tenant,
        _NAMES.subject: user,
        _NAMES.roles: list(roles),
        _NAMES.features: [LICENCE_FEATURE],
    }
    return jwt.encode(claims, secret, algorithm=_ALGORITHM)

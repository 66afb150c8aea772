"""What both modes ask of a token: its form before its signature, its claims after it."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import jwt
import msgspec
from jwt.exceptions import InvalidSubjectError

from infra.auth.keys import PublicKey
from infra.auth.refusal import Reason, Refused

MAX_TOKEN_CHARS = 16 * 1024
MAX_KID_CHARS = 256

_TOKEN_TYPES = {"jwt", "at+jwt", "application/at+jwt"}
_REASONS: tuple[tuple[type[jwt.PyJWTError], Reason], ...] = (
    (jwt.ExpiredSignatureError, Reason.EXPIRED),
    (jwt.ImmatureSignatureError, Reason.NOT_YET_VALID),
    (jwt.InvalidIssuerError, Reason.ISSUER),
    (jwt.InvalidAudienceError, Reason.AUDIENCE),
    (jwt.MissingRequiredClaimError, Reason.MISSING_CLAIM),
    (InvalidSubjectError, Reason.SUBJECT_CLAIM),
    (jwt.InvalidSignatureError, Reason.SIGNATURE),
    (jwt.InvalidKeyError, Reason.UNKNOWN_KEY),
    (jwt.InvalidAlgorithmError, Reason.ALGORITHM),
)


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """Who must have issued a token, for whom, and by how much clocks may differ."""

    issuer: str
    audiences: tuple[str, ...]
    leeway: timedelta = timedelta(0)


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """All that is ever read of a header. `jku`, `x5u`, `jwk` and `x5c` point to keys of the sender's choice."""

    algorithm: str
    kid: str | None


def header_of(token: str, algorithms: frozenset[str]) -> Header:
    """Raises Refused unless the token is of bounded size, of a known type and signed by one of the algorithms."""
    if len(token) > MAX_TOKEN_CHARS:
        raise Refused(Reason.OVERSIZE)
    try:
        fields = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise Refused(Reason.MALFORMED) from None
    algorithm, kid, kind = fields.get("alg"), fields.get("kid"), fields.get("typ", "JWT")
    if not isinstance(algorithm, str) or algorithm not in algorithms:
        raise Refused(Reason.ALGORITHM)
    if "crit" in fields:
        raise Refused(Reason.CRITICAL_HEADER)
    if not isinstance(kind, str) or kind.lower() not in _TOKEN_TYPES:
        raise Refused(Reason.TOKEN_TYPE)
    if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KID_CHARS):
        raise Refused(Reason.MALFORMED)
    return Header(algorithm=algorithm, kid=kid)


def claims_of(token: str, key: PublicKey | bytes, algorithm: str, expected: Expected) -> Mapping[str, Any]:
    """The claims, once signature, `iss`, `aud`, `exp` and, where present, `nbf` and `iat` hold. Raises Refused."""
    try:
        return jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            issuer=expected.issuer,
            audience=expected.audiences,
            leeway=expected.leeway,
            options={"require": ["iss", "aud", "exp"], "enforce_minimum_key_length": True},
        )
    except jwt.PyJWTError as fault:
        reason = next((reason for kind, reason in _REASONS if isinstance(fault, kind)), Reason.MALFORMED)
        raise Refused(reason) from None
    except (ValueError, TypeError, OverflowError, RecursionError):
        raise Refused(Reason.MALFORMED) from None

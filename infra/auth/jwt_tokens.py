"""Production's credential: a JWT signed by the deployment's identity provider with an asymmetric key."""

import logging

from domain.errors import Unauthorized
from domain.subject import AuthMethod, Subject
from infra.auth.claims import ClaimNames, subject_from
from infra.auth.key_cache import KeyCache
from infra.auth.keys import ASYMMETRIC_ALGORITHMS
from infra.auth.refusal import Reason, Refused
from infra.auth.token_check import Expected, claims_of, header_of

_log = logging.getLogger(__name__)


class JwtVerifier:
    def __init__(self, keys: KeyCache, expected: Expected, algorithms: frozenset[str], names: ClaimNames) -> None:
        if not algorithms <= ASYMMETRIC_ALGORITHMS:
            raise ValueError("a shared secret would let every verifier issue tokens")
        self._keys, self._expected, self._algorithms, self._names = keys, expected, algorithms, names

    async def verify(self, token: str | None) -> Subject:
        try:
            return await self._subject(token)
        except Refused as refusal:
            _log.info("credential refused", extra={"reason": refusal.reason.value})
            raise Unauthorized(presented=token is not None) from None

    async def _subject(self, token: str | None) -> Subject:
        if token is None:
            raise Refused(Reason.MISSING)
        header = header_of(token, self._algorithms)
        key = await self._keys.key_for(header.kid, header.algorithm)
        claims = claims_of(token, key, header.algorithm, self._expected)
        return subject_from(claims, self._names, AuthMethod.JWT)

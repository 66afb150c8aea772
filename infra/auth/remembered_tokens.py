"""Tokens that were accepted a moment ago: a client sends the same one with every call."""

import hashlib
from datetime import timedelta
from typing import Final

import msgspec

from domain.auth.ports import TokenVerifier
from domain.clock import Clock
from domain.subject import Subject

REMEMBER_FOR: Final = timedelta(seconds=30)
"""So long a key that its issuer has withdrawn may still be honoured for tokens we know."""

_CAPACITY: Final = 1024


class _Accepted(msgspec.Struct, frozen=True):
    subject: Subject
    until: float


class RememberedTokens:
    """A TokenVerifier before another. Remembers acceptances only, never past a token's expiry, and no token itself."""

    def __init__(self, verifier: TokenVerifier, clock: Clock) -> None:
        self._verifier, self._clock = verifier, clock
        self._accepted: dict[bytes, _Accepted] = {}

    def recalled(self, token: str | None) -> Subject | None:
        """Whom this credential stood for a moment ago, and so still stands for."""
        return None if token is None else self._known(_digest(token))

    async def verify(self, token: str | None) -> Subject:
        if token is None:
            return await self._verifier.verify(None)
        digest = _digest(token)
        if (known := self._known(digest)) is not None:
            return known
        self._accepted.pop(digest, None)
        subject = await self._verifier.verify(token)
        self._remember(digest, subject)
        return subject

    def _known(self, digest: bytes) -> Subject | None:
        known = self._accepted.get(digest)
        return known.subject if known is not None and self._clock.monotonic() < known.until else None

    def _remember(self, digest: bytes, subject: Subject) -> None:
        if len(self._accepted) >= _CAPACITY:
            del self._accepted[next(iter(self._accepted))]
        left = REMEMBER_FOR
        if subject.expires_at is not None:
            left = min(left, subject.expires_at - self._clock.now())
        self._accepted[digest] = _Accepted(subject, self._clock.monotonic() + left.total_seconds())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()

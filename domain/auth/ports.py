"""How a bearer credential becomes a subject."""

from typing import Protocol

from domain.subject import Subject


class TokenVerifier(Protocol):
    async def verify(self, token: str | None) -> Subject:
        """The subject this credential stands for; None when the call carried no Authorization header.

        `token` is what follows `Bearer `; an Authorization header of another scheme is passed as "".
        Raises Unauthorized for a missing, malformed, expired, revoked or foreign credential,
        ServiceUnavailable when its keys cannot be had. The reason is logged, never answered.
        """
        ...

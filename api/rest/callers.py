"""Finds out who calls, and slows down addresses that keep failing to say so."""

from collections.abc import Callable
from typing import Any

import anyio
import msgspec
from litestar.connection import ASGIConnection
from litestar.datastructures import Headers

from api.rest.client_address import TrustedProxies
from domain.auth.ports import TokenVerifier
from domain.errors import Unauthorized
from domain.limits.address_brake import AddressBrake
from domain.subject import Subject

Connection = ASGIConnection[Any, Any, Any, Any]
Recall = Callable[[str | None], Subject | None]


class Caution(msgspec.Struct, frozen=True, kw_only=True):
    """`recall` tells whom a credential stands for that was accepted a moment ago: its holder is never slowed down."""

    brake: AddressBrake
    proxies: TrustedProxies
    recall: Recall


class Callers:
    def __init__(self, verifier: TokenVerifier, caution: Caution | None) -> None:
        self._verifier = verifier
        self._caution = caution

    async def identify(self, connection: Connection) -> Subject:
        """Raises what the verifier raises, and RateLimited before it is asked."""
        token = bearer_token(connection.headers)
        if self._caution is None:
            return await self._verifier.verify(token)
        return self._caution.recall(token) or await self._identify_stranger(token, connection, self._caution)

    async def _identify_stranger(self, token: str | None, connection: Connection, caution: Caution) -> Subject:
        address = caution.proxies.address_of(connection)
        await caution.brake.require(address)
        try:
            return await self._verifier.verify(token)
        except Unauthorized:
            with anyio.CancelScope(shield=True):
                await caution.brake.note_failure(address)
            raise


def bearer_token(headers: Headers) -> str | None:
    """What follows `Bearer `; None without an Authorization header, "" for another scheme or several headers."""
    values = headers.getall("authorization", [])
    if not values:
        return None
    scheme, _, token = values[0].partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer":
        return ""
    return token.strip()

"""Events by HTTP POST, signed, to one address of the operator's choice (docs/events.md)."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import Final, Self

import aiohttp
import anyio
from typing_extensions import override

from domain.audit.events import OutgoingEvent
from domain.audit.ports import Consumer
from domain.clock import Clock
from domain.jobs.retries import JobFailed
from infra.providers.address_guard import AddressGuard
from infra.providers.retry_hint import retry_after_ms
from infra.providers.secrets import Secret

_CLOSING_S: Final = 2.0
_CONNECTIONS: Final = 32
_REPEATABLE: Final = frozenset({408, 425, 429})
"""Refusals that do not mean the event; every other 4xx would be the same next time."""


class Webhook(Consumer):
    """Delivered is what was answered by 2xx. Follows no redirect, and reaches no address that the guard refuses."""

    def __init__(self, url: str, key: Secret, clock: Clock, timeout: timedelta, *, allow_private_network: bool) -> None:
        self._url = url
        self._key = key.reveal().encode()
        self._clock = clock
        self._timeout = timeout
        self._guard = AddressGuard(allow_private_network=allow_private_network)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CONNECTIONS, socket_factory=self._guard),
            timeout=aiohttp.ClientTimeout(total=self._timeout.total_seconds()),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            with anyio.move_on_after(_CLOSING_S, shield=True):
                await self._session.close()

    @override
    async def deliver(self, event: OutgoingEvent) -> None:
        if self._session is None:
            raise RuntimeError("the webhook is not open")
        try:
            # The answer's body is nobody's business, and leaving the block closes the connection if it is long.
            async with self._session.post(
                self._url, data=event.body, headers=self._headers(event), allow_redirects=False
            ) as response:
                status, headers = response.status, response.headers
        except (aiohttp.ClientError, OSError) as fault:
            raise JobFailed("sink_unavailable") from fault
        _judge(status, headers)

    def _headers(self, event: OutgoingEvent) -> dict[str, str]:
        timestamp = int(self._clock.now().timestamp())
        return {
            "Content-Type": "application/json",
            "Idempotency-Key": event.dedupe_key,
            "Mini-Chat-Event": event.event_type,
            "Mini-Chat-Stream": event.stream.value,
            "Mini-Chat-Signature": f"t={timestamp},v1={signature(self._key, timestamp, event.body)}",
        }


def signature(key: bytes, timestamp: int, body: bytes) -> str:
    """HMAC-SHA-256 over the timestamp, a dot and the body, in hexadecimal."""
    return hmac.digest(key, b"%d." % timestamp + body, hashlib.sha256).hex()


def _judge(status: int, headers: Mapping[str, str]) -> None:
    if 200 <= status < 300:  # noqa: PLR2004 - the class of success
        return
    if 400 <= status < 500 and status not in _REPEATABLE:  # noqa: PLR2004 - the caller's fault
        raise JobFailed("sink_refused", permanent=True)
    asked = retry_after_ms(headers)
    raise JobFailed("sink_unavailable", retry_after=None if asked is None else timedelta(milliseconds=asked))

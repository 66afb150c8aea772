"""Keeps an issuer's keys at hand: fetched rarely, by one caller at a time, and still there when the issuer is not."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio
import msgspec

from domain.clock import Clock
from domain.errors import ServiceUnavailable
from infra.auth.keys import KeyRing, PublicKey
from infra.auth.refusal import Reason, Refused

LoadKeys = Callable[[], Awaitable[KeyRing | None]]


class CachePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Keys older than `refresh_after` are fetched anew; where that fails they serve until `usable_for`.

    Two fetches are at least `pause` apart, whatever tokens arrive: a flood of unknown key ids costs nothing.
    """

    refresh_after: timedelta = timedelta(minutes=5)
    usable_for: timedelta = timedelta(hours=1)
    pause: timedelta = timedelta(seconds=5)


class KeyCache:
    def __init__(self, load: LoadKeys, clock: Clock, policy: CachePolicy) -> None:
        self._load, self._clock, self._policy = load, clock, policy
        self._ring = KeyRing()
        self._loaded_at: float | None = None
        self._tried_at: float | None = None
        self._loading = anyio.Lock()

    async def key_for(self, kid: str | None, algorithm: str) -> PublicKey:
        """Raises Refused for a key the issuer does not have, ServiceUnavailable while no keys can be had."""
        key = self._find(kid, algorithm)
        # Who has a key need not wait for the one caller that refreshes.
        if key is None or (self._is_older_than(self._policy.refresh_after) and not self._loading.locked()):
            await self._refresh()
            key = self._find(kid, algorithm)
        if key is not None:
            return key
        if self._is_older_than(self._policy.usable_for):
            raise ServiceUnavailable(retry_after=self._policy.pause)
        raise Refused(Reason.UNKNOWN_KEY)

    def _find(self, kid: str | None, algorithm: str) -> PublicKey | None:
        return None if self._is_older_than(self._policy.usable_for) else self._ring.find(kid, algorithm)

    async def _refresh(self) -> None:
        # Shielded: callers that hang up could otherwise spend every permitted fetch without letting one end.
        with anyio.CancelScope(shield=True):
            async with self._loading:
                if (
                    self._tried_at is not None
                    and self._seconds_since(self._tried_at) < self._policy.pause.total_seconds()
                ):
                    return
                ring = await self._load()
                self._tried_at = self._clock.monotonic()
                if ring is not None:
                    self._ring, self._loaded_at = ring, self._tried_at

    def _is_older_than(self, age: timedelta) -> bool:
        return self._loaded_at is None or self._seconds_since(self._loaded_at) >= age.total_seconds()

    def _seconds_since(self, reading: float) -> float:
        return self._clock.monotonic() - reading

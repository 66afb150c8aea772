"""Redis as something that may be missing: each call is bounded, and while it is down calls fail at once.

Every key and channel begins with `NAMESPACE`. Nothing in it is truth: it may be flushed at any moment.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio
from redis.asyncio import Redis
from redis.exceptions import RedisError

from domain.telemetry.ports import Counted, Telemetry
from infra.redis.circuit import Circuit
from infra.redis.connecting import redis_at
from infra.redis.subscription import Subscription, SubscriptionLost

T = TypeVar("T")

NAMESPACE: Final = "mini_chat:"

CALLS_AT_ONCE: Final = 8
"""Each holds a connection; opening one takes longer than waiting for one."""

_FAULTS: Final = (RedisError, OSError, TimeoutError, SubscriptionLost)
_log = logging.getLogger(__name__)


class RedisUnavailable(Exception):
    """Redis did not answer in time, or at all; whoever asked goes on without."""


class RedisClient:
    """Leaving the block closes its connections. A call that is interrupted takes its connection with it."""

    def __init__(self, url: str, timeout: timedelta, monotonic: Callable[[], float], telemetry: Telemetry) -> None:
        self._timeout_s = timeout.total_seconds()
        self._circuit = Circuit(monotonic)
        self._slots = anyio.Semaphore(CALLS_AT_ONCE)
        self._telemetry = telemetry
        self._redis = redis_at(url, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(self._timeout_s, shield=True):
            await self._redis.aclose()

    async def call(self, operation: str, work: Callable[[Redis], Awaitable[T]]) -> T:
        """What `work` returns, within the timeout for all it does. Raises RedisUnavailable.

        `operation` names it in metrics: a closed word.
        """
        if not self._circuit.admits():
            raise RedisUnavailable
        with self._watched(operation):
            with anyio.fail_after(self._timeout_s):
                async with self._slots:
                    result = await work(self._redis)
            self._succeeded()
        return result

    async def answers(self) -> bool:
        """Whether Redis is there right now."""
        try:
            return await self.call("ping", lambda redis: redis.ping())
        except RedisUnavailable:
            return False

    @asynccontextmanager
    async def subscribed(self, *channels: str) -> AsyncIterator[Subscription]:
        """The channels' messages from here on, over a connection of its own.

        Not kept away by the circuit: whoever listens tries again now and then, and so finds out that Redis is back.
        Raises RedisUnavailable, in the block too, when the connection is lost.
        """
        with self._watched("subscribe"):
            pubsub = self._redis.pubsub()
            try:
                with anyio.fail_after(self._timeout_s):
                    subscription = await Subscription.begun(pubsub, channels, self._timeout_s)
                self._succeeded()
                yield subscription
            finally:
                with anyio.move_on_after(self._timeout_s, shield=True):
                    await pubsub.aclose()  # type: ignore[no-untyped-call]

    @contextmanager
    def _watched(self, operation: str) -> Iterator[None]:
        try:
            yield
        except _FAULTS as fault:
            self._telemetry.count(Counted.REDIS_ERRORS, op=operation)
            if not self._circuit.is_open:
                _log.warning("redis_lost", extra={"error_type": type(fault).__qualname__})
            self._circuit.failed()
            raise RedisUnavailable from fault

    def _succeeded(self) -> None:
        if self._circuit.is_open:
            _log.info("redis_back")
        self._circuit.succeeded()

"""Events as entries of a Redis stream."""

from datetime import timedelta
from types import TracebackType
from typing import Self

import anyio
from redis.exceptions import RedisError
from typing_extensions import override

from domain.audit.events import OutgoingEvent
from domain.audit.ports import Consumer
from domain.jobs.retries import JobFailed
from infra.redis.connecting import redis_at


class RedisStream(Consumer):
    """Keeps about the newest `max_length` entries: whoever reads more slowly misses the oldest."""

    def __init__(self, url: str, name: str, timeout: timedelta, *, max_length: int) -> None:
        self._name = name
        self._timeout_s = timeout.total_seconds()
        self._max_length = max_length
        self._redis = redis_at(url, timeout)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(self._timeout_s, shield=True):
            await self._redis.aclose()

    @override
    async def deliver(self, event: OutgoingEvent) -> None:
        entry: dict[str | bytes, str | bytes] = {
            "dedupe_key": event.dedupe_key,
            "stream": event.stream.value,
            "event_type": event.event_type,
            "tenant_id": str(event.tenant_id),
            "body": event.body,
        }
        try:
            with anyio.fail_after(self._timeout_s):
                await self._redis.xadd(self._name, entry, maxlen=self._max_length, approximate=True)  # type: ignore[arg-type]
        except (RedisError, OSError) as fault:
            raise JobFailed("sink_unavailable") from fault

"""How this process and the others reach one another and count together: over Redis where one is configured, else not
at all.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import anyio

from api.rest.health import Check, Health
from app.periodic import every
from app.settings import RedisSettings
from domain.clock import Clock
from domain.ids import OwnerId
from domain.limits.ports import RateLimiter
from domain.telemetry.ports import Telemetry
from domain.turns.bus import Broadcast, Bus, Inbox
from infra.local.bus import Exchange, LocalBus
from infra.local.rate_limiter import LocalRateLimiter

if TYPE_CHECKING:
    from infra.redis.bus import RedisBus
    from infra.redis.client import RedisClient

_RECONNECT_AFTER = timedelta(seconds=1)


@dataclass(frozen=True, kw_only=True)
class OverRedis:
    client: "RedisClient"
    bus: "RedisBus"

    async def check(self) -> Health:
        """Never failed: nothing needs Redis."""
        return Health.OK if await self.client.answers() and self.bus.healthy else Health.DEGRADED


@dataclass(frozen=True, kw_only=True)
class Messaging:
    """`inbox` is where handlers of messages for this process are put before it opens."""

    inbox: Inbox
    bus: Bus
    limiter: RateLimiter
    broadcast: Broadcast
    over_redis: OverRedis | None = None

    @property
    def checks(self) -> dict[str, Check]:
        return {} if self.over_redis is None else {"redis": self.over_redis.check}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Messages come and go inside."""
        if self.over_redis is None:
            yield
            return
        async with self.over_redis.client, anyio.create_task_group() as tasks:
            tasks.start_soon(every, _RECONNECT_AFTER, "bus", self.over_redis.bus.listen)
            yield
            tasks.cancel_scope.cancel()


def messaging(settings: RedisSettings, owner: OwnerId, clock: Clock, telemetry: Telemetry) -> Messaging:
    inbox, alone = Inbox(), LocalRateLimiter(clock.monotonic)
    if settings.url is None:
        local = LocalBus(Exchange(), owner, inbox)
        return Messaging(inbox=inbox, bus=local, broadcast=local, limiter=alone)
    # Whoever has no Redis does not pay for its client: 20 MB and a tenth of a second.
    from infra.redis.bus import RedisBus  # noqa: PLC0415
    from infra.redis.client import RedisClient  # noqa: PLC0415
    from infra.redis.rate_limiter import RedisRateLimiter  # noqa: PLC0415

    client = RedisClient(settings.url, settings.timeout, clock.monotonic, telemetry)
    bus = RedisBus(client, owner, inbox)
    return Messaging(
        inbox=inbox,
        bus=bus,
        broadcast=bus,
        limiter=RedisRateLimiter(client, alone),
        over_redis=OverRedis(client=client, bus=bus),
    )

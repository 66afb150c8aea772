"""The places events can go to, each with a back door to what has arrived there."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec
from redis.asyncio import Redis

from domain.audit.ports import Consumer
from domain.clock import SystemClock
from domain.jobs.retries import JobFailed
from infra.exports.log_file import LogFile
from infra.exports.redis_stream import RedisStream
from infra.exports.webhook import Webhook
from infra.providers.secrets import Secret
from tests.fakes.consumers import MemoryConsumer
from tests.harness.redis import RedisServer
from tests.harness.upstream import Reply, Upstream

KEY = b"k" * 32
PATIENCE = timedelta(seconds=2)
FINE, BUSY = Reply(status=200), Reply(status=503)


class Sink(Protocol):
    @property
    def consumer(self) -> Consumer: ...

    async def arrived(self) -> list[tuple[str, dict[str, Any]]]:
        """Dedupe key and body of everything, in order."""
        ...

    async def break_down(self) -> None: ...

    async def mend(self) -> None: ...


class InMemory:
    def __init__(self) -> None:
        self.consumer = MemoryConsumer()

    async def arrived(self) -> list[tuple[str, dict[str, Any]]]:
        return [(event.dedupe_key, msgspec.json.decode(event.body)) for event in self.consumer.events]

    async def break_down(self) -> None:
        self.consumer.hindrance = JobFailed("sink_unavailable")

    async def mend(self) -> None:
        self.consumer.hindrance = None


class InFile:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.jsonl"
        self.consumer = LogFile(self.path, fsync=True)

    async def arrived(self) -> list[tuple[str, dict[str, Any]]]:
        bodies = [msgspec.json.decode(line) for line in self.path.read_bytes().splitlines()]
        return [(body["dedupe_key"], body) for body in bodies]

    async def break_down(self) -> None:
        self.path.mkdir()

    async def mend(self) -> None:
        self.path.rmdir()


class OverHttp:
    def __init__(self, consumer: Consumer, upstream: Upstream) -> None:
        self.consumer = consumer
        self.upstream = upstream
        upstream.reply(FINE)
        self._refused = 0

    async def arrived(self) -> list[tuple[str, dict[str, Any]]]:
        accepted = self.upstream.exchanges[self._refused :]
        return [(each.headers["idempotency-key"], msgspec.json.decode(each.body)) for each in accepted]

    async def break_down(self) -> None:
        self.upstream.reply(BUSY)

    async def mend(self) -> None:
        self._refused = len(self.upstream.exchanges)
        self.upstream.reply(FINE)


class OverRedis:
    def __init__(self, consumer: Consumer, server: RedisServer, client: "Redis", name: str) -> None:
        self.consumer = consumer
        self._server = server
        self._client = client
        self._name = name

    async def arrived(self) -> list[tuple[str, dict[str, Any]]]:
        entries: Any = await self._client.xrange(self._name)
        return [(fields[b"dedupe_key"].decode(), msgspec.json.decode(fields[b"body"])) for _, fields in entries]

    async def break_down(self) -> None:
        self._server.kill()

    async def mend(self) -> None:
        self._server.start()


@asynccontextmanager
async def over_http() -> AsyncIterator[OverHttp]:
    async with Upstream() as upstream, webhook(upstream.url) as consumer:
        yield OverHttp(consumer, upstream)


def webhook(url: str, timeout: timedelta = PATIENCE, *, allow_private_network: bool = True) -> Webhook:
    key = Secret(KEY.decode())
    return Webhook(url, key, SystemClock(), timeout, allow_private_network=allow_private_network)


@asynccontextmanager
async def over_redis(server: RedisServer, name: str = "events") -> AsyncIterator[OverRedis]:
    client: Redis = Redis.from_url(server.url, protocol=2)
    try:
        async with RedisStream(server.url, name, PATIENCE, max_length=1_000) as consumer:
            yield OverRedis(consumer, server, client, name)
    finally:
        await client.aclose()

"""A wire between a client and its PostgreSQL server that a test can make go dead without closing it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit, urlunsplit

import anyio
from anyio.abc import ByteStream, SocketAttribute


class DatabaseProxy:
    """Forwards bytes while it is not frozen; frozen, it keeps every connection open and swallows what comes."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._port = 0
        self._flowing = anyio.Event()
        self._flowing.set()

    @property
    def dsn(self) -> str:
        """The database as it is reached through the proxy, while that is running."""
        login, _, _ = self._target.netloc.rpartition("@")
        return urlunsplit(self._target._replace(netloc=f"{login}@127.0.0.1:{self._port}", query=""))

    def freeze(self) -> None:
        self._flowing = anyio.Event()

    def thaw(self) -> None:
        self._flowing.set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with await anyio.create_tcp_listener(local_host="127.0.0.1") as listener:
            self._port = listener.extra(SocketAttribute.local_port)  # noqa: S610 - not Django's
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(listener.serve, self._join)
                try:
                    yield
                finally:
                    tasks.cancel_scope.cancel()

    async def _join(self, client: ByteStream) -> None:
        async with client, await self._connect() as server, anyio.create_task_group() as tasks:
            tasks.start_soon(self._pump, client, server)
            await self._pump(server, client)
            tasks.cancel_scope.cancel()

    async def _connect(self) -> ByteStream:
        folder = parse_qs(self._target.query).get("host")
        port = self._target.port or 5432
        if folder:
            return await anyio.connect_unix(f"{folder[0]}/.s.PGSQL.{port}")
        return await anyio.connect_tcp(self._target.hostname or "127.0.0.1", port)

    async def _pump(self, source: ByteStream, target: ByteStream) -> None:
        try:
            async for data in source:
                await self._flowing.wait()
                await target.send(data)
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass

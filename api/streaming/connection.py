"""What a stream asks of its connection beyond ASGI's `send`, and how a server offers it."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol, cast

import anyio
from anyio.abc import TaskGroup
from litestar.types import Receive, Scope

from api.streaming.disconnect import client_gone

_EXTENSION = "mini_chat.connection"


class Connection(Protocol):
    def write(self, part: bytes) -> bool:
        """Takes a part of an answer that has begun, at once and whole; False when it cannot, and nothing is taken."""
        ...

    def when_closed(self, act: Callable[[], None]) -> None:
        """Calls `act` once when the client has gone or the connection was cut, at once if that has happened."""
        ...

    def abort(self) -> None:
        """Cuts the connection without waiting for what is still unsent; a blocked `send` returns or is cancelled."""
        ...


def offer_connection(scope: Scope, connection: Connection) -> None:
    """An ASGI extension, for the server to call."""
    extensions = cast("dict[str, dict[str, object]]", scope.setdefault("extensions", {}))
    extensions[_EXTENSION] = {"connection": connection}


def offered_connection(scope: Scope) -> Connection | None:
    extensions = cast("dict[str, dict[str, Connection]]", scope.get("extensions") or {})
    return extensions[_EXTENSION]["connection"] if _EXTENSION in extensions else None


@asynccontextmanager
async def plain_connection(receive: Receive) -> AsyncIterator[Connection]:
    """The connection of a server that offers none: it takes a task to notice who leaves."""
    async with anyio.create_task_group() as tasks:
        yield _PlainConnection(receive, tasks)
        tasks.cancel_scope.cancel()


class _PlainConnection:
    def __init__(self, receive: Receive, tasks: TaskGroup) -> None:
        self._receive = receive
        self._tasks = tasks

    def write(self, part: bytes) -> bool:  # noqa: ARG002 - the port names it
        return False

    def when_closed(self, act: Callable[[], None]) -> None:
        self._tasks.start_soon(self._watch, act)

    def abort(self) -> None:
        self._tasks.cancel_scope.cancel()

    async def _watch(self, act: Callable[[], None]) -> None:
        await client_gone(self._receive)
        act()
        self.abort()

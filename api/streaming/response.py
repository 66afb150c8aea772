"""The socket side of a turn: reads, merges, sends with a deadline, keeps alive, notices who left.

    reader.receive() ──▶ frames() ──▶ send()    this task
    client_gone(receive)                        a second task, because a blocked send sees nothing
    one timer                                   keep-alive due? send stalled? re-armed lazily, never per delta

The response only reads. However it ends, by its last event, a disconnect or a stalled socket, all it does to
the turn is to leave it.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import cast

import anyio
import msgspec
from litestar.types import Receive, Scope, Send

from api.streaming.direct_send import direct_send
from api.streaming.disconnect import client_gone
from api.streaming.sse_wire import COMMENT, frames, ping
from domain.streaming.channel import Reader, ReaderDropped
from domain.streaming.events import Numbered, StreamStarted

ABORT_EXTENSION = "mini_chat.abort"
"""The ASGI extension by which our server cuts a connection off without waiting for what is still unsent."""

_HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


class KeepAlive(msgspec.Struct, frozen=True, kw_only=True):
    """A ping after so long without a byte; an end after a send has taken so long."""

    ping_interval: timedelta = timedelta(seconds=15)
    send_deadline: timedelta = timedelta(seconds=30)


class TurnStreamResponse:
    """An ASGI application: one turn to one connection, with `extra` headers (lower-case names)."""

    def __init__(self, reader: Reader, keep_alive: KeepAlive, extra: Sequence[tuple[bytes, bytes]] = ()) -> None:
        self._reader = reader
        self._headers = [*_HEADERS, *extra]
        self._ping_s = keep_alive.ping_interval.total_seconds()
        self._deadline_s = keep_alive.send_deadline.total_seconds()
        self._look_every_s = min(self._ping_s, self._deadline_s)
        self._last_number = 0
        self._answering = False
        self._ping_due = False
        self._sending = False
        self._touched = 0.0
        self._finished = False
        self._timer: asyncio.TimerHandle | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._touched = asyncio.get_running_loop().time()
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._leave_when_gone, receive, tasks.cancel_scope)
                self._look_again(self._look_every_s, tasks.cancel_scope)
                await self._relay(scope, send)
                tasks.cancel_scope.cancel()
        finally:
            self._reader.leave()
            if self._timer is not None:
                self._timer.cancel()
            if not self._finished:
                _abort(scope)

    async def _relay(self, scope: Scope, send: Send) -> None:
        try:
            self._sending = True
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            self._sending = False
            send = direct_send(scope, send)
            while not self._finished:
                events = await self._reader.receive()
                if events:
                    self._note(events)
                    await self._deliver(send, frames(events))
                elif self._ping_due:
                    await self._deliver(send, self._keep_alive())
                elif self._reader.ended:
                    return
        except (ReaderDropped, OSError):
            # ASGI lets `send` raise OSError once the client has gone.
            return

    async def _deliver(self, send: Send, body: bytes) -> None:
        loop = asyncio.get_running_loop()
        more = not self._reader.ended
        self._sending, self._touched = True, loop.time()
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._sending, self._touched = False, loop.time()
        self._ping_due = False
        self._finished = not more

    def _note(self, events: Sequence[Numbered]) -> None:
        self._last_number, newest = events[-1]
        self._answering = self._answering or not isinstance(newest, StreamStarted)

    def _keep_alive(self) -> bytes:
        """The grammar knows pings only before the first delta or tool; afterwards a comment keeps it."""
        return COMMENT if self._answering else ping(self._last_number)

    def _look_again(self, delay_s: float, connection: anyio.CancelScope) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(delay_s, self._look, loop, connection)

    def _look(self, loop: asyncio.AbstractEventLoop, connection: anyio.CancelScope) -> None:
        """Acts on what is overdue, and comes back when the next thing can be."""
        idle_s = loop.time() - self._touched
        limit_s = self._deadline_s if self._sending else self._ping_s
        if idle_s < limit_s:
            self._look_again(min(limit_s - idle_s, self._look_every_s), connection)
        elif self._sending:
            connection.cancel()
        else:
            self._ping_due = True
            self._reader.wake()
            self._look_again(self._look_every_s, connection)

    async def _leave_when_gone(self, receive: Receive, connection: anyio.CancelScope) -> None:
        await client_gone(receive)
        self._reader.leave()
        connection.cancel()


def _abort(scope: Scope) -> None:
    extensions = cast("dict[str, dict[str, Callable[[], None]]]", scope.get("extensions") or {})
    if ABORT_EXTENSION in extensions:
        extensions[ABORT_EXTENSION]["abort"]()

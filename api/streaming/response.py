"""The socket side of a turn: reads, merges, sends with a deadline, keeps alive, notices who left.

    reader.receive() ──▶ frames() ──▶ send()     this task
    reader's taker   ──▶ frames() ──▶ write()    the turn's task: while this one waits and the socket has room
    one timer                                    keep-alive due? send stalled? re-armed lazily, never per delta

The response only reads. However it ends, by its last event, a disconnect or a stalled socket, all it does to
the turn is to leave it.
"""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import msgspec
from litestar.types import Receive, Scope, Send

from api.streaming.connection import Connection, offered_connection, plain_connection
from api.streaming.sse_wire import COMMENT, frames, ping
from domain.streaming.channel import Reader, ReaderDropped
from domain.streaming.events import FIRST_NUMBER, Numbered, StreamStarted

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
    """An ASGI application: one turn to one connection, with `extra` headers (lower-case names).

    `position` is the number of the last event that an earlier connection of this client has had.
    """

    def __init__(
        self,
        reader: Reader,
        keep_alive: KeepAlive,
        extra: Sequence[tuple[bytes, bytes]] = (),
        *,
        position: int = 0,
    ) -> None:
        self._reader = reader
        self._position = position
        self._headers = [*_HEADERS, *extra]
        self._ping_s = keep_alive.ping_interval.total_seconds()
        self._deadline_s = keep_alive.send_deadline.total_seconds()
        self._look_every_s = min(self._ping_s, self._deadline_s)
        self._newest: Numbered | None = None
        self._ping_due = False
        self._sending = False
        self._finished = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection = offered_connection(scope)
        if connection is not None:
            await self._serve(connection, send)
            return
        async with plain_connection(receive) as connection:
            await self._serve(connection, send)

    async def _serve(self, connection: Connection, send: Send) -> None:
        self._loop = asyncio.get_running_loop()
        self._touched = self._loop.time()
        self._connection = connection
        self._look_again(self._look_every_s)
        try:
            connection.when_closed(self._reader.leave)
            self._reader.hand_over_to(self._take)
            await self._relay(send)
        finally:
            self._reader.leave()
            self._timer.cancel()
            if not self._finished:
                connection.abort()

    async def _relay(self, send: Send) -> None:
        try:
            self._sending = True
            await send({"type": "http.response.start", "status": 200, "headers": self._headers})
            self._sending = False
            while not self._finished:
                events = await self._reader.receive()
                if events:
                    self._newest = events[-1]
                    await self._deliver(send, frames(events))
                elif self._ping_due:
                    await self._deliver(send, self._keep_alive())
                elif self._reader.ended:
                    await self._deliver(send, b"")
        except (ReaderDropped, OSError):
            # ASGI lets `send` raise OSError once the client has gone.
            return

    def _take(self, events: Sequence[Numbered]) -> bool:
        """Spares the way through the task of this connection, which waits: a turn of the loop for every delta."""
        if not self._connection.write(frames(events)):
            return False
        self._newest = events[-1]
        self._touched = self._loop.time()
        return True

    async def _deliver(self, send: Send, body: bytes) -> None:
        more = not self._reader.ended
        self._sending, self._touched = True, self._loop.time()
        await send({"type": "http.response.body", "body": body, "more_body": more})
        self._sending, self._touched = False, self._loop.time()
        self._ping_due = False
        self._finished = not more

    def _keep_alive(self) -> bytes:
        """The grammar knows pings only before the first delta or tool; afterwards a comment keeps it.

        A connection that was resumed is where the event left it that it was resumed after.
        """
        if self._newest is None:
            return ping(self._position) if self._position <= FIRST_NUMBER else COMMENT
        number, event = self._newest
        return ping(number) if isinstance(event, StreamStarted) else COMMENT

    def _look_again(self, delay_s: float) -> None:
        self._timer = self._loop.call_later(delay_s, self._look)

    def _look(self) -> None:
        """Acts on what is overdue, and comes back when the next thing can be."""
        idle_s = self._loop.time() - self._touched
        limit_s = self._deadline_s if self._sending else self._ping_s
        if idle_s < limit_s:
            self._look_again(min(limit_s - idle_s, self._look_every_s))
        elif self._sending:
            self._connection.abort()
        else:
            self._ping_due = True
            self._reader.wake()
            self._look_again(self._look_every_s)

"""What our server lets a stream do with its connection (`api.streaming.connection.Connection`)."""

import asyncio
from collections.abc import Callable
from typing import cast

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from app.outbox import Outbox


class CycleConnection:
    """The connection as one exchange on it sees it; `closed` is for the protocol to call, once."""

    __slots__ = ("_act", "_cycle", "_outbox")

    def __init__(self, cycle: RequestResponseCycle, outbox: Outbox) -> None:
        self._cycle = cycle
        self._outbox = outbox
        self._act: Callable[[], None] | None = None

    def write(self, part: bytes) -> bool:
        """What the cycle's own `send` does with a part of a chunked body when nothing is in its way.

        The task that sends the rest is woken through the loop, so by then the outbox is empty and the order kept.
        """
        cycle = self._cycle
        if cycle.disconnected or cycle.flow.write_paused or not cycle.chunked_encoding:
            return False
        self._outbox.put(cycle.transport, b"%x\r\n%b\r\n" % (len(part), part))
        return True

    def when_closed(self, act: Callable[[], None]) -> None:
        if self._cycle.disconnected:
            act()
            return
        self._act = act
        # A large body may have paused it, and what is not read tells of no end.
        self._cycle.flow.resume_reading()

    def abort(self) -> None:
        cast("asyncio.WriteTransport", self._cycle.transport).abort()

    def closed(self) -> None:
        # uvicorn tells only the last of several requests that came in a row.
        self._cycle.disconnected = True
        self._cycle.message_event.set()
        act = self._act
        self.release()
        if act is not None:
            act()

    def release(self) -> None:
        """The exchange is over; its scope and this no longer hold each other, so neither waits for the collector."""
        self._act = None
        self._cycle.scope["extensions"] = {}

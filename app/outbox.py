"""Writes of one turn of the event loop, done in one go.

A write to a socket whose peer sleeps costs the kernel more than all that we do for a delta, because it has to wake
the peer. Written one right after the other, the deltas of many turns find their peer, mostly one proxy, awake.
"""

import asyncio


class Outbox:
    """Of one event loop. What is put here leaves before anything that is scheduled on the loop afterwards runs."""

    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, transport: asyncio.Transport, data: bytes) -> None:
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append((transport, data))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        for transport, data in waiting:
            # A transport that was closed since may raise, and the connections behind it would lose their data.
            if not transport.is_closing():
                transport.write(data)

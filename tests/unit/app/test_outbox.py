"""Writes gathered over one turn of the loop."""

import asyncio
from typing import Any, cast

from app.outbox import Outbox


class Transport:
    def __init__(self, log: list[bytes]) -> None:
        self._log = log
        self.closed = False

    def is_closing(self) -> bool:
        return self.closed

    def write(self, data: bytes) -> None:
        if self.closed:
            raise RuntimeError("unable to perform operation on a closed transport")
        self._log.append(data)


async def test_everything_put_leaves_in_order_before_what_was_scheduled_after_it() -> None:
    log: list[bytes] = []
    outbox, transport = Outbox(), cast("Any", Transport(log))
    loop = asyncio.get_running_loop()
    outbox.put(transport, b"one")
    loop.call_soon(log.append, b"the task that was woken")
    outbox.put(transport, b"two")
    assert log == []
    await asyncio.sleep(0)
    assert log == [b"one", b"two", b"the task that was woken"]


async def test_it_works_again_after_it_has_been_emptied() -> None:
    log: list[bytes] = []
    outbox, transport = Outbox(), cast("Any", Transport(log))
    for data in (b"one", b"two"):
        outbox.put(transport, data)
        await asyncio.sleep(0)
    assert log == [b"one", b"two"]


async def test_a_connection_that_has_gone_since_costs_the_others_nothing() -> None:
    """uvloop refuses writes to a transport that it has closed."""
    log: list[bytes] = []
    outbox = Outbox()
    first, gone, last = (Transport(log) for _ in range(3))
    for number, transport in enumerate((first, gone, last)):
        outbox.put(cast("Any", transport), b"%d" % number)
    gone.closed = True
    await asyncio.sleep(0)
    assert log == [b"0", b"2"]

"""One connection, fed byte by byte as no socket can be relied upon to do."""

import asyncio
from typing import Any

import uvicorn
from typing_extensions import override
from uvicorn.server import ServerState

from app.http_protocol import HeadLimits, TurnProtocol, turn_protocol

LIMITS = HeadLimits(max_bytes=1024)
BODY = b"x" * 4096
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


class Wire(asyncio.Transport):
    """Keeps what is written, and how it was ended."""

    def __init__(self) -> None:
        super().__init__()
        self.said = b""
        self.cut = False

    @override
    def write(self, data: Any) -> None:
        self.said += bytes(data)

    @override
    def is_closing(self) -> bool:
        return self.cut

    @override
    def close(self) -> None:
        self.cut = True

    @override
    def abort(self) -> None:
        self.cut = True

    @override
    def pause_reading(self) -> None:
        pass

    @override
    def resume_reading(self) -> None:
        pass


def connected() -> tuple[TurnProtocol, Wire]:
    config = uvicorn.Config(_never_answers, lifespan="off", log_config=None)
    config.load()
    protocol, wire = turn_protocol(LIMITS)(config, ServerState(), {}), Wire()
    protocol.connection_made(wire)
    return protocol, wire


async def _never_answers(_scope: Any, receive: Any, _send: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def test_a_body_is_not_counted_as_the_head_that_begins_in_the_same_piece() -> None:
    protocol, wire = connected()
    protocol.data_received(POST + b"GET / HTTP/1.1\r\nHo")
    assert (wire.said, wire.is_closing()) == (b"", False)
    protocol.connection_lost(None)
    await asyncio.sleep(0)


async def test_nor_may_that_head_go_on_for_ever() -> None:
    protocol, wire = connected()
    protocol.data_received(POST + b"GET / HTTP/1.1\r\nHo")
    protocol.data_received(b"o" * (LIMITS.max_bytes + 1))
    assert wire.is_closing()
    protocol.connection_lost(None)
    await asyncio.sleep(0)


async def test_requests_in_a_row_without_end_are_cut_off() -> None:
    protocol, wire = connected()
    for _ in range(16):
        protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert not wire.is_closing()
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.is_closing()
    protocol.connection_lost(None)
    await asyncio.sleep(0)

"""Yardstick 1: the least a Python relay can do. No framework, channel, database or authentication.

`python -m bench.bare_relay PORT UPSTREAM_URL`; one decode, one encode and one send per delta.
"""

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import msgspec
import uvicorn

Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]

_HEADERS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-store")]
_FRAME = b"id: %d\nevent: %b\ndata: %b\n\n"


class UpstreamDelta(msgspec.Struct):
    content: str = ""


class Choice(msgspec.Struct):
    delta: UpstreamDelta


class Chunk(msgspec.Struct):
    choices: list[Choice]


class Delta(msgspec.Struct):
    type: str
    content: str


class BareRelay:
    def __init__(self, upstream_url: str) -> None:
        self._upstream_url = upstream_url
        self._decode = msgspec.json.Decoder(Chunk).decode
        self._encode = msgspec.json.Encoder().encode

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["method"] == "POST":
            await self._relay((await receive())["body"], send)
        else:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        unlimited = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), timeout=unlimited) as self._session:
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _relay(self, body: bytes, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": _HEADERS})
        headers = {"content-type": "application/json"}
        async with self._session.post(self._upstream_url, data=body, headers=headers) as response:
            number, rest = 0, b""
            async for data in response.content.iter_any():
                *frames, rest = (rest + data).split(b"\n\n")
                for frame in frames:
                    if content := self._content(frame):
                        number += 1
                        await send(_part(number, b"delta", self._encode(Delta("text", content))))
        await send(_part(number + 1, b"done", b"{}"))
        await send({"type": "http.response.body", "body": b""})

    def _content(self, frame: bytes) -> str:
        payload = frame.removeprefix(b"data: ")
        if payload == b"[DONE]":
            return ""
        choices = self._decode(payload).choices
        return choices[0].delta.content if choices else ""


def _part(number: int, event: bytes, data: bytes) -> MutableMapping[str, Any]:
    return {"type": "http.response.body", "body": _FRAME % (number, event, data), "more_body": True}


if __name__ == "__main__":
    uvicorn.run(
        BareRelay(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        log_level="warning",
        access_log=False,
        ws="none",
    )

"""A caller of a running server, who remembers every stream it was sent."""

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import anyio

from tests.harness.bridge import Answer
from tests.harness.processes import Server
from tests.harness.sse_client import EventStream

API = "/mini-chat/v1"


class Client:
    """Speaks JSON to one server, under one credential or none."""

    def __init__(self, session: aiohttp.ClientSession, server: Server, token: str | None = None) -> None:
        self.server = server
        self.streams: list[EventStream] = []
        self._session = session
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    @property
    def credential(self) -> str:
        return self._headers["Authorization"]

    def under(self, token: str) -> "Client":
        """The same server seen by somebody else."""
        return Client(self._session, self.server, token)

    async def ask(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """The whole answer to a request below /v1, or at `path` itself when it begins with a slash."""
        async with self._request(method, path, body, headers) as response:
            return await _answer(response)

    async def chat(self, **members: object) -> str:
        """A new chat's id."""
        answer = await self.ask("POST", "chats", members)
        assert answer.status == 201, answer
        chat_id: str = answer.json()["id"]
        return chat_id

    async def messages(self, chat_id: str) -> list[dict[str, Any]]:
        answer = await self.ask("GET", f"chats/{chat_id}/messages")
        assert answer.status == 200, answer
        messages: list[dict[str, Any]] = answer.json()["items"]
        return messages

    @asynccontextmanager
    async def stream(
        self,
        chat_id: str | None = None,
        content: str = "Hello",
        headers: Mapping[str, str] | None = None,
        **members: Any,
    ) -> AsyncIterator[EventStream]:
        """A send that must be accepted; without a chat it makes one. Leaving the block closes the connection."""
        path = f"chats/{chat_id}/messages:stream" if chat_id else "chats:stream"
        async with self._started("POST", path, {"content": content, **members}, headers) as stream:
            yield stream

    @asynccontextmanager
    async def change(
        self, chat_id: str, content: str | None = None, turn: str = "latest", headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[EventStream]:
        """A retry without a body, or with content an edit, that must be accepted. Leaving the block closes it."""
        path = f"chats/{chat_id}/turns/{turn}"
        if content is None:
            started = self._started("POST", f"{path}/retry", None, headers)
        else:
            started = self._started("PATCH", path, {"content": content}, headers)
        async with started as stream:
            yield stream

    @asynccontextmanager
    async def _started(
        self, method: str, path: str, body: Any, headers: Mapping[str, str] | None
    ) -> AsyncIterator[EventStream]:
        async with self._request(method, path, body, headers) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            stream = EventStream(response)
            self.streams.append(stream)
            try:
                yield stream
            finally:
                stream.hang_up()

    @asynccontextmanager
    async def follow(
        self, chat_id: str, request_id: str = "latest", position: int | None = None
    ) -> AsyncIterator[EventStream]:
        """A stream of a turn that somebody has started, from after the position. Leaving the block closes it."""
        headers = {} if position is None else {"Last-Event-ID": str(position)}
        async with self._request("GET", events_of(chat_id, request_id), None, headers) as response:
            assert response.status == 200, await response.text()
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            stream = EventStream(response, position or 0)
            try:
                yield stream
            finally:
                stream.hang_up()
                assert stream.faults() == []

    async def told(self, chat_id: str | None = None, content: str = "Hello", **members: Any) -> EventStream:
        """A whole answer."""
        async with self.stream(chat_id, content, **members) as stream:
            await stream.end()
        return stream

    async def changed(self, chat_id: str, content: str | None = None, **members: Any) -> EventStream:
        """The whole answer to a retry or an edit."""
        async with self.change(chat_id, content, **members) as stream:
            await stream.end()
        return stream

    async def attempt(self, **members: Any) -> EventStream | Answer:
        """A send that makes a chat: told to its end, or refused."""
        async with self._request("POST", "chats:stream", members, None) as response:
            if response.status != 200:
                return await _answer(response)
            stream = EventStream(response)
            self.streams.append(stream)
            await stream.body()
        return stream

    @asynccontextmanager
    async def opened(self, content: str = "Hello", **members: Any) -> AsyncIterator[aiohttp.ClientResponse]:
        """A send that makes a chat, accepted or not, as soon as the head of its answer is there."""
        async with self._request("POST", "chats:stream", {"content": content, **members}, None) as response:
            yield response

    def _request(self, method: str, path: str, body: Any, headers: Mapping[str, str] | None) -> Any:
        url = self.server.url + (path if path.startswith("/") else f"{API}/{path}")
        return self._session.request(method, url, json=body, headers={**self._headers, **(headers or {})})


async def _answer(response: aiohttp.ClientResponse) -> Answer:
    names = tuple((name.lower(), value) for name, value in response.headers.items())
    return Answer(status=response.status, headers=names, body=await response.read())


def comparable(answer: Answer) -> tuple[int, list[tuple[str, str]], bytes]:
    """An answer without what differs between any two requests."""
    headers = [(name, value) for name, value in answer.headers if name not in {"date", "x-request-id"}]
    body = re.sub(rb'"(instance|trace_id)":"[^"]*"', b"", answer.body)
    return answer.status, headers, body


def events_of(chat_id: str, request_id: str = "latest") -> str:
    return f"chats/{chat_id}/turns/{request_id}/events"


@asynccontextmanager
async def calling(server: Server, token: str | None = None) -> AsyncIterator[Client]:
    """Every request on a connection of its own, so that one broken on purpose harms no other."""
    connector = aiohttp.TCPConnector(limit=0, force_close=True)
    async with aiohttp.ClientSession(connector=connector) as session:
        yield Client(session, server, token)


async def raw_exchange(server: Server, *pieces: bytes) -> bytes:
    """Everything the server says to these bytes until it closes the connection."""
    said = b""
    async with await anyio.connect_tcp("127.0.0.1", server.port) as connection:
        try:
            for piece in pieces:
                await connection.send(piece)
            async for data in connection:
                said += data
        except (anyio.BrokenResourceError, anyio.EndOfStream):
            pass
    return said

"""The connections to one provider: one aiohttp session that no other provider shares, so a key meets only its host."""

import asyncio
import ssl
from io import BytesIO
from types import SimpleNamespace
from typing import Protocol

import aiohttp
from typing_extensions import override

from infra.providers.adapter import HttpCall
from infra.providers.address_guard import AddressGuard

_KEEP_ALIVE_S = 4.0  # many servers close at 5 s, and a request lost on a closing connection may not be repeated
_DNS_CACHE_S = 30
_HEADER_LINE_BYTES = 16 * 1024
_READ_BYTES = 64 * 1024
_LINGER_S = 0.25


class Progress(Protocol):
    """Told how far a request has come, synchronously and in this order; reused connections skip `connecting`, and
    `sent` comes for each piece of the body.
    """

    def connecting(self) -> None: ...

    def sending(self) -> None: ...

    def sent(self, piece_bytes: int) -> None: ...


class AbortingResponse(aiohttp.ClientResponse):
    """To close is to abort: no goodbye of TLS is awaited and no half-sent body is flushed to a peer that stalls."""

    @override
    def close(self) -> None:
        if self.connection is not None and self.connection.transport is not None:
            self.connection.transport.abort()
        super().close()


class HttpPool:
    """Built closed; `connections` is the most that are open at once, further requests wait for one. `ca_file` names an
    authority that is trusted beside those of the system; certificates are checked in any case.
    """

    def __init__(self, *, connections: int, allow_private_network: bool, ca_file: str | None = None) -> None:
        self._connections = connections
        self._ca_file = ca_file
        self._guard = AddressGuard(allow_private_network=allow_private_network)
        self._session: aiohttp.ClientSession | None = None
        self._lingering: set[aiohttp.ClientResponse] = set()

    def open(self) -> None:
        connector = aiohttp.TCPConnector(
            limit=self._connections,
            limit_per_host=self._connections,
            keepalive_timeout=_KEEP_ALIVE_S,
            ttl_dns_cache=_DNS_CACHE_S,
            socket_factory=self._guard,
            ssl=True if self._ca_file is None else trusting(self._ca_file),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            response_class=AbortingResponse,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=_READ_BYTES,
            max_line_size=_HEADER_LINE_BYTES,
            max_field_size=_HEADER_LINE_BYTES,
            trace_configs=[_progress_reports()],
        )

    async def close(self) -> None:
        """Aborts what is still open."""
        for response in self._lingering:
            response.close()
        if self._session is not None:
            await self._session.close()

    async def post(self, call: HttpCall, progress: Progress) -> aiohttp.ClientResponse:
        """Returns at the response head, redirects not followed. Sets no deadline: the caller owns them all."""
        if self._session is None:
            raise RuntimeError("the pool is not open")
        return await self._session.post(
            call.url,
            # As a stream, because a body handed over as bytes leaves in one write however large it is.
            data=BytesIO(call.body),
            headers=call.headers,
            allow_redirects=False,
            trace_request_ctx=progress,
        )

    def linger(self, response: aiohttp.ClientResponse) -> None:
        """Lets the last bytes of a finished answer arrive, so that its connection can serve again, else closes it."""
        if not response.closed:
            self._lingering.add(response)
            asyncio.get_running_loop().call_later(_LINGER_S, self._part_with, response)

    def _part_with(self, response: aiohttp.ClientResponse) -> None:
        self._lingering.discard(response)
        response.close()


def trusting(ca_file: str) -> ssl.SSLContext:
    """Raises OSError (SSLError among it) for a file that holds no certificate."""
    context = ssl.create_default_context()
    context.load_verify_locations(ca_file)
    return context


def _progress_reports() -> aiohttp.TraceConfig:
    """Tracing signals are the one public place where the phases of a request can be seen."""

    async def connecting(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.connecting()

    async def sending(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.sending()

    async def sent(
        _: aiohttp.ClientSession, context: SimpleNamespace, piece: aiohttp.TraceRequestChunkSentParams
    ) -> None:
        context.trace_request_ctx.sent(len(piece.chunk))

    reports = aiohttp.TraceConfig()
    reports.on_connection_create_start.append(connecting)
    reports.on_request_headers_sent.append(sending)
    reports.on_request_chunk_sent.append(sent)
    return reports

"""From nothing to a response head: pool, connection, request, head, each under its own deadline."""

import asyncio
import random
from datetime import timedelta
from enum import StrEnum

import aiohttp

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.ports import CallControl, CallState
from domain.providers.request import Deadlines
from infra.providers.adapter import HttpCall
from infra.providers.address_guard import AddressRefused
from infra.providers.http_pool import HttpPool


class Phase(StrEnum):
    POOL_WAIT = "pool_wait"
    CONNECT = "connect"
    WRITE = "write"
    HEADERS = "headers"


_RETRY_PAUSE_S = (0.05, 0.2)


async def response_head(
    pool: HttpPool, call: HttpCall, deadlines: Deadlines, control: CallControl, *, connect_retries: int
) -> aiohttp.ClientResponse | ProviderFailure:
    """Tried again only where nobody was reached, so nothing of the request can have been seen by anybody."""
    while True:
        head = await Opening(deadlines, control, len(call.body)).head(pool, call)
        unreached = isinstance(head, ProviderFailure) and head.kind is FailureKind.UNREACHABLE
        if not unreached or control.called or connect_retries == 0:
            return head
        connect_retries -= 1
        await asyncio.sleep(random.uniform(*_RETRY_PAUSE_S))  # noqa: S311 - jitter, not a secret


class Opening:
    """Fills the pool's `Progress`: what is reported moves the deadline on and keeps `control.state` true."""

    def __init__(self, deadlines: Deadlines, control: CallControl, body_bytes: int) -> None:
        self._deadlines = deadlines
        self._control = control
        self._unsent_bytes = body_bytes
        self._phase = Phase.POOL_WAIT
        self._timer = asyncio.timeout(deadlines.pool_wait.total_seconds())

    def connecting(self) -> None:
        self._enter(Phase.CONNECT, self._deadlines.connect)

    def sending(self) -> None:
        self._control.state = CallState.SENDING
        self._enter(Phase.WRITE, self._deadlines.write)

    def sent(self, piece_bytes: int) -> None:
        self._unsent_bytes -= piece_bytes
        if self._unsent_bytes <= 0:
            self._control.state = CallState.SENT
            self._enter(Phase.HEADERS, self._deadlines.headers)

    async def head(self, pool: HttpPool, call: HttpCall) -> aiohttp.ClientResponse | ProviderFailure:
        try:
            async with self._timer:
                response = await pool.post(call, self)
        except (aiohttp.ClientError, OSError) as fault:
            return ProviderFailure(kind=self._kind(fault), detail=f"{self._phase}: {type(fault).__name__}")
        self._control.state = CallState.RESPONDED
        return response

    def _enter(self, phase: Phase, limit: timedelta) -> None:
        self._phase = phase
        self._timer.reschedule(asyncio.get_running_loop().time() + limit.total_seconds())

    def _kind(self, fault: aiohttp.ClientError | OSError) -> FailureKind:
        match fault:
            case TimeoutError() if self._timer.expired():
                return FailureKind.BUSY_LOCAL if self._phase is Phase.POOL_WAIT else FailureKind.TIMEOUT
            case aiohttp.InvalidURL():
                return FailureKind.MISCONFIGURED
            case aiohttp.ClientConnectorError() if isinstance(fault.os_error, AddressRefused):
                return FailureKind.MISCONFIGURED
            case aiohttp.ClientResponseError():
                return FailureKind.BAD_RESPONSE
        return FailureKind.INTERRUPTED if self._control.called else FailureKind.UNREACHABLE

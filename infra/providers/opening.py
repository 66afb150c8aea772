"""From nothing to a response head: pool, connection, request, head, each under its own deadline."""

import asyncio
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
    HEADERS = "headers"


class Opening:
    """Fills the pool's `Progress`: what is reported moves the deadline on and keeps `control.state` true."""

    def __init__(self, deadlines: Deadlines, control: CallControl) -> None:
        self._deadlines = deadlines
        self._control = control
        self._phase = Phase.POOL_WAIT
        self._timer = asyncio.timeout(deadlines.pool_wait.total_seconds())

    def connecting(self) -> None:
        self._enter(Phase.CONNECT, self._deadlines.connect)

    def sending(self) -> None:
        self._control.state = CallState.SENDING
        self._enter(Phase.HEADERS, self._deadlines.headers)

    def sent(self) -> None:
        self._control.state = CallState.SENT

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

"""An engine that lives in a task of its own, so that it can be stopped in good order or die at any moment."""

import asyncio
from datetime import datetime, timedelta
from typing import Any, Final, NoReturn

from typing_extensions import override

from domain.clock import SystemClock
from domain.errors import ServiceUnavailable
from domain.providers.ports import Provider
from domain.scope import AccessScope
from domain.unit_of_work import Access
from infra.local.bus import Exchange
from tests.harness.engine import Engine, running_engine

_RECEIPT_WAIT: Final = timedelta(milliseconds=200)


class SteppedClock(SystemClock):
    """The wall clock of one machine, set right or wrong by whoever holds it; the monotonic one never steps."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    @override
    def now(self) -> datetime:
        return super().now() + self.ahead


class Replica:
    def __init__(self, dsn: str, provider: Provider, exchange: Exchange) -> None:
        self.clock = SteppedClock()
        self._dsn = dsn
        self._provider = provider
        self._exchange = exchange
        self._ready = asyncio.Event()
        self._told_to_stop = asyncio.Event()
        self._host: asyncio.Task[None] | None = None
        self._engine: Engine | None = None

    @property
    def engine(self) -> Engine:
        assert self._engine is not None
        return self._engine

    async def start(self) -> "Replica":
        self._host = asyncio.create_task(self._live())
        await self._ready.wait()
        return self

    async def stop(self) -> None:
        """Ends what runs, as a drain does."""
        assert self._host is not None
        self._told_to_stop.set()
        await self._host

    async def die(self) -> None:
        """No ending that has not begun to be stored by now will ever be."""
        books: Any = self.engine.supervisor._books
        finaliser = books._finaliser
        finaliser._begin, finaliser._deadline = _out_of_reach, timedelta(0)
        self.cancel()
        await self.ended()

    def cancel(self) -> None:
        """Goes down without a drain."""
        assert self._host is not None
        self._host.cancel()

    async def ended(self) -> None:
        assert self._host is not None
        await asyncio.wait([self._host])

    async def _live(self) -> None:
        async with running_engine(
            self._dsn, self._provider, receipt_wait=_RECEIPT_WAIT, exchange=self._exchange, clock=self.clock
        ) as self._engine:
            self._ready.set()
            await self._told_to_stop.wait()


def _out_of_reach(scope: AccessScope, access: Access = Access.WRITE) -> NoReturn:
    raise ServiceUnavailable

"""The store in memory. It keeps the promises of PostgreSQL's, and the contract suite holds it to them.

Committed tables are never changed: a write works on a copy that takes their place at commit, so a reader keeps the
snapshot it began with. Writers of one tenant take turns, which is coarser than row locks and as safe.
"""

from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Final

from anyio import Lock
from anyio.lowlevel import checkpoint

from domain.clock import Clock
from domain.ids import TenantId
from domain.scope import AccessScope
from domain.unit_of_work import Access
from tests.fakes.cancellations import MemoryCancellations
from tests.fakes.chats import MemoryChats
from tests.fakes.events import MemoryEvents
from tests.fakes.messages import MemoryMessages
from tests.fakes.tables import Tables, View
from tests.fakes.turn_changes import MemoryChanges
from tests.fakes.turn_statuses import MemoryStatuses

_TICK: Final = timedelta(microseconds=1)


class MemoryTransaction:
    def __init__(self, view: View) -> None:
        self.chats = MemoryChats(view)
        self.messages = MemoryMessages(view)
        self.cancellations = MemoryCancellations(view)
        self.changes = MemoryChanges(view)
        self.statuses = MemoryStatuses(view)
        self.events = MemoryEvents(view)


class MemoryStore:
    """Fits UnitOfWork. No two transactions see the same time."""

    def __init__(self, clock: Clock) -> None:
        self.committed: dict[TenantId, Tables] = defaultdict(Tables)
        self._turns: dict[TenantId, Lock] = defaultdict(Lock)
        self._clock = clock
        self._latest = clock.now()

    @asynccontextmanager
    async def __call__(self, scope: AccessScope, access: Access = Access.WRITE) -> AsyncIterator[MemoryTransaction]:
        await checkpoint()
        if access is not Access.WRITE:
            yield MemoryTransaction(self._view(scope, self.committed[scope.tenant_id], writable=False))
            return
        async with self._turns[scope.tenant_id]:
            tables = self.committed[scope.tenant_id].copy()
            yield MemoryTransaction(self._view(scope, tables, writable=True))
            self.committed[scope.tenant_id] = tables

    def _view(self, scope: AccessScope, tables: Tables, *, writable: bool) -> View:
        return View(scope=scope, tables=tables, now=self._next_moment(), writable=writable)

    def _next_moment(self) -> datetime:
        self._latest = max(self._clock.now(), self._latest + _TICK)
        return self._latest

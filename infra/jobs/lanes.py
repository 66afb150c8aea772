"""So many jobs of one tenant at once, so that a tenant whose jobs hang holds up nobody else's."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

import anyio

from domain.ids import TenantId

PATIENCE: Final = timedelta(milliseconds=200)
"""How long a job may wait for its tenant's others; only a tenant whose jobs are slow makes it wait that long."""

_STEP: Final = timedelta(milliseconds=20)
_SHORTEST: Final = timedelta(milliseconds=500)
_LONGEST: Final = timedelta(seconds=30)


class LaneFull(Exception):
    """Try again after `pause`; it grows with the jobs that were turned away, so their coming and going stays cheap."""

    def __init__(self, pause: timedelta) -> None:
        super().__init__()
        self.pause = pause


class _Lane:
    def __init__(self, width: int) -> None:
        self.slots = anyio.Semaphore(width)
        self.users = 0
        self.is_stuck = False
        self.turned_away = 0


class TenantLanes:
    def __init__(self, width: int) -> None:
        self._width = width
        self._lanes: dict[TenantId, _Lane] = {}

    @asynccontextmanager
    async def entered(self, tenant: TenantId) -> AsyncIterator[None]:
        """Raises LaneFull. Once a job has waited in vain, the next ones of the tenant are turned away at once."""
        lane = self._lanes.setdefault(tenant, _Lane(self._width))
        lane.users += 1
        try:
            await _slot_of(lane)
            try:
                yield
            finally:
                lane.slots.release()
                lane.is_stuck = False
                lane.turned_away = 0
        finally:
            lane.users -= 1
            if not lane.users:
                del self._lanes[tenant]


async def _slot_of(lane: _Lane) -> None:
    if not lane.is_stuck:
        with anyio.move_on_after(PATIENCE.total_seconds()):
            await lane.slots.acquire()
            return
        lane.is_stuck = True
    lane.turned_away += 1
    raise LaneFull(min(_SHORTEST + _STEP * lane.turned_away, _LONGEST))

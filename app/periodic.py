"""Named loops: a round that fails is logged, and the loop lives on."""

import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio

from domain.errors import ServiceUnavailable

_log = logging.getLogger(__name__)
_JITTER = 0.1


class Bell:
    """Wakes a loop before its time; rung while nobody waits, it wakes the next wait."""

    def __init__(self) -> None:
        self._rung = anyio.Event()

    def ring(self) -> None:
        self._rung.set()

    async def wait(self, at_most_s: float) -> None:
        with anyio.move_on_after(at_most_s):
            await self._rung.wait()
        if self._rung.is_set():
            self._rung = anyio.Event()


async def every(interval: timedelta, name: str, work: Callable[[], Awaitable[None]], bell: Bell | None = None) -> None:
    """Does the work now and then after each interval, give or take a tenth so that replicas spread out.

    A bell makes it come early.
    """
    pause = Bell() if bell is None else bell
    while True:
        try:
            await work()
        except ServiceUnavailable:
            _log.warning("periodic_round_skipped", extra={"loop": name})
        except Exception:
            _log.exception("periodic_round_failed", extra={"loop": name})
        await pause.wait(interval.total_seconds() * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - jitter

"""Named loops: a round that fails is logged, and the loop lives on."""

import logging
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta

import anyio

from domain.errors import ServiceUnavailable

_log = logging.getLogger(__name__)
_JITTER = 0.1


async def every(interval: timedelta, name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Does the work now and then after each interval, give or take a tenth so that replicas spread out."""
    while True:
        try:
            await work()
        except ServiceUnavailable:
            _log.warning("periodic_round_skipped", extra={"loop": name})
        except Exception:
            _log.exception("periodic_round_failed", extra={"loop": name})
        await anyio.sleep(interval.total_seconds() * random.uniform(1 - _JITTER, 1 + _JITTER))  # noqa: S311 - jitter

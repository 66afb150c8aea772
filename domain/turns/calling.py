"""The mark that a provider is about to be called: a lost turn without it has cost nothing (engine.md 2.5)."""

import random
from contextlib import suppress
from datetime import timedelta

import anyio

from domain.errors import ServiceUnavailable
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.turns.ports import TurnTx
from domain.unit_of_work import UnitOfWork

_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 1.0


class CallMark:
    """`patience` is how long a turn waits for a store that does not answer before it gives up its call."""

    def __init__(self, begin: UnitOfWork[TurnTx], patience: timedelta) -> None:
        self._begin = begin
        self._patience = patience

    async def place(self, brief: TurnBrief) -> StopReason | None:
        """None: noted, and the provider may be called. Else why it must not be. Raises ServiceUnavailable."""
        return await self._noted(brief, goes_over=False)

    async def go_over(self, brief: TurnBrief) -> StopReason | None:
        """As `place`, for a turn that has the model and the prices of `brief` from now on."""
        return await self._noted(brief, goes_over=True)

    async def _noted(self, brief: TurnBrief, *, goes_over: bool) -> StopReason | None:
        pause_s = _FIRST_PAUSE_S
        with anyio.move_on_after(self._patience.total_seconds()):
            while True:
                with suppress(ServiceUnavailable):
                    async with self._begin(brief.scope) as tx:
                        if goes_over:
                            return await tx.turns.mark_called_instead(brief)
                        return await tx.turns.mark_called(brief.turn_id, brief.epoch)
                await anyio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
                pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        raise ServiceUnavailable

"""Uses counted by one process, for itself: where there is no Redis, and while it is away."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

from domain.limits.models import SLOTS, Permit, Standing, Use, Verdict
from infra.local.window import Window

CAPACITY: Final = 20_000
"""Windows of about 400 bytes each. Who has been quiet for longest is forgotten first."""


class LocalRateLimiter:
    """Fills the port RateLimiter. It never awaits, so nothing comes between looking and counting."""

    def __init__(self, monotonic: Callable[[], float], capacity: int = CAPACITY) -> None:
        self._monotonic = monotonic
        self._capacity = capacity
        self._windows: OrderedDict[tuple[str, str], Window] = OrderedDict()

    def __len__(self) -> int:
        return len(self._windows)

    async def take(self, uses: Sequence[Use]) -> Verdict:
        now_ms = int(self._monotonic() * 1000)
        windows = [self._window(use, now_ms) for use in uses]
        granted = all(
            window.used + use.count <= use.policy.quota or not use.count
            for use, window in zip(uses, windows, strict=True)
        )
        if granted:
            for use, window in zip(uses, windows, strict=True):
                window.add(use.count)
        standings = tuple(_standing(use, window, now_ms) for use, window in zip(uses, windows, strict=True))
        slots = tuple(now_ms // use.policy.slot_ms for use in uses)
        return Verdict(standings, Permit(tuple(uses), slots, is_shared=False) if granted else None)

    async def give_back(self, permit: Permit) -> None:
        for use, slot in zip(permit.uses, permit.slots, strict=True):
            if (window := self._windows.get((use.holder, use.policy.name))) is not None:
                window.take_out(slot, use.count)

    def _window(self, use: Use, now_ms: int) -> Window:
        key, slot = (use.holder, use.policy.name), now_ms // use.policy.slot_ms
        window = self._windows.get(key)
        if window is None:
            if not use.count:
                return Window(slot)
            window = self._windows[key] = Window(slot)
            if len(self._windows) > self._capacity:
                self._windows.popitem(last=False)
        else:
            self._windows.move_to_end(key)
            window.move_to(slot)
        return window


def _standing(use: Use, window: Window, now_ms: int) -> Standing:
    policy, oldest = use.policy, window.oldest
    grows_in_ms = None if oldest is None else (oldest + 1 + SLOTS) * policy.slot_ms - now_ms
    return Standing(policy, max(policy.quota - window.used, 0), grows_in_ms)

"""How often somebody may do something, and what is left of it (api.md 1.4)."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import msgspec

SLOTS: Final = 60
"""Uses are counted by sixtieths of a window, so that a window of any use is a few numbers."""


class RatePolicy(msgspec.Struct, frozen=True, kw_only=True):
    """At most `quota` uses within any stretch as long as `window`, wherever it begins.

    A use counts for the whole window and for less than a slot more.
    """

    name: str
    quota: int
    window: timedelta = timedelta(minutes=1)

    @property
    def slot_ms(self) -> int:
        return max(1, self.window // timedelta(milliseconds=1) // SLOTS)


class TurnCap(msgspec.Struct, frozen=True, kw_only=True):
    """At most `quota` turns at the same time."""

    name: str
    quota: int


class Use(msgspec.Struct, frozen=True):
    """So many uses by one holder. None at all only asks what is left."""

    policy: RatePolicy
    holder: str
    count: int = 1


class Standing(msgspec.Struct, frozen=True):
    """What is left, and when it grows next; None when there is nothing it could grow by, or no telling."""

    policy: RatePolicy | TurnCap
    remaining: int
    grows_in_ms: int | None = None


class Permit(msgspec.Struct, frozen=True):
    """Uses that were counted, and the slots they were counted in: to be given back when they came to nothing.

    `is_shared` says that they were counted for all processes and not for this one alone.
    """

    uses: tuple[Use, ...]
    slots: tuple[int, ...]
    is_shared: bool


class Verdict(msgspec.Struct, frozen=True):
    """All of the uses or none. One standing for each, after the uses if they were granted."""

    standings: tuple[Standing, ...]
    permit: Permit | None


def violated(uses: Sequence[Use], standings: Sequence[Standing]) -> list[Standing]:
    """Why a verdict grants nothing."""
    return [standing for use, standing in zip(uses, standings, strict=True) if use.count > standing.remaining]

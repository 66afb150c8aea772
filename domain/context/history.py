"""What is known of a conversation when its next prompt is made (engine.md 6.1)."""

from collections.abc import Sequence
from typing import Final

import msgspec


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """An earlier turn as the model gets to see it again; `user_seq` is the place of its question."""

    user_seq: int
    user_text: str
    assistant_text: str

    @property
    def end_seq(self) -> int:
        """The place of its answer."""
        return self.user_seq + 1


class Recap(msgspec.Struct, frozen=True, kw_only=True):
    """The summary of a conversation up to and with the message at `covers_seq`: the frontier."""

    text: str
    covers_seq: int
    token_estimate: int


class History(msgspec.Struct, frozen=True, kw_only=True):
    """The newest turns beyond the frontier of `recap`, oldest first.

    `left_out_seq` is the place of the newest question beyond it that is not among them, if there is one.
    """

    exchanges: Sequence[Exchange] = ()
    recap: Recap | None = None
    left_out_seq: int | None = None


NO_HISTORY: Final = History()

"""The newest events of a turn, shown by its owner to other processes for as long as somebody there reads them."""

from typing import Protocol

from domain.scope import AccessScope
from domain.streaming.channel import Reader
from domain.turns.models import TurnStatus


class SharedTail(Protocol):
    """An accelerator: whoever follows finds the end of the turn in its row too.

    What a reader gets begins after `position` and has no gaps; where the owner's log begins later, it begins with
    `stream_started` and all text so far. A reader that can no longer keep this ends without a terminal event.
    """

    async def follow(self, scope: AccessScope, turn: TurnStatus, position: int) -> Reader | None:
        """A reader of what the owner shows, who counts as one of the turn's; None when it shows nothing."""
        ...


class NoSharedTail:
    """One process, or several that share the database only."""

    async def follow(self, scope: AccessScope, turn: TurnStatus, position: int) -> Reader | None:  # noqa: ARG002 - the port names them
        return None

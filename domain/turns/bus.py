"""Word from one process to the owner of a turn in another. An accelerator: everything it says is in the rows too."""

from collections.abc import Callable
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from domain.ids import OwnerId, TenantId, TurnId
from domain.streaming.models import StopReason
from domain.streaming.ports import TurnBrief
from domain.turns.shown_events import ShownEvent


class TurnWord(msgspec.Struct, frozen=True, kw_only=True):
    """What every message names: a turn under one owner."""

    tenant_id: TenantId
    turn_id: TurnId
    epoch: int

    def means(self, brief: TurnBrief) -> bool:
        """Whoever handles a word has to ask: it may be late, or not be meant for the turn of that id here."""
        return (self.tenant_id, self.turn_id, self.epoch) == (brief.scope.tenant_id, brief.turn_id, brief.epoch)


class StopTurn(TurnWord, frozen=True, kw_only=True, tag="stop_turn"):
    """Somebody wants the turn to end; the row says so as well."""

    reason: StopReason


class FollowTurn(TurnWord, frozen=True, kw_only=True, tag="follow_turn"):
    """Somebody in the process `reader` reads the turn from after `position` on; told now and then while it does.

    `sequence` grows with each word of that process about the reading of turns, so that a late one shows.
    """

    position: int
    reader: OwnerId
    sequence: int


class LeaveTurn(TurnWord, frozen=True, kw_only=True, tag="leave_turn"):
    """Nobody in the process `reader` reads the turn any more."""

    reader: OwnerId
    sequence: int


class ShowEvents(TurnWord, frozen=True, kw_only=True, tag="show_events"):
    """Events of a turn, for those in the receiving process who read it.

    They stand for everything after `asked` up to `reach`: where that was not kept, they tell the whole turn so far in
    short, which suits nobody but who asked from there.
    """

    asked: int
    reach: int
    events: tuple[ShownEvent, ...]


class PolicyChanged(msgspec.Struct, frozen=True, kw_only=True, tag="policy_changed"):
    """An operator changed switches or models. Whoever hears it looks now at what they would have found out soon."""


Message: TypeAlias = StopTurn | FollowTurn | LeaveTurn | ShowEvents | PolicyChanged

M = TypeVar("M", StopTurn, FollowTurn, LeaveTurn, ShowEvents, PolicyChanged)


class Bus(Protocol):
    """Lossy by contract: what is told may get lost, come twice or come late, and nothing wrong may come of it.

    So whoever handles a message compares tenant and epoch with the turn it means, and whoever sent one finds out
    from the row what became of it.
    """

    @property
    def healthy(self) -> bool:
        """Whether, as far as this process knows, the words of other processes reach it."""
        ...

    async def tell(self, owner: OwnerId, message: Message) -> None:
        """Sends it, within the deadline of a call, and never raises for a message that cannot be sent."""
        ...


class Broadcast(Protocol):
    """As lossy as the bus."""

    async def tell_all(self, message: Message) -> None:
        """Sends it to every process, this one included, within the deadline of a call, and never raises for it."""
        ...


class Inbox:
    """Hands what reaches this process to whoever asked for messages of its kind; nobody misses the others.

    Handlers run on the loop that reads the bus, so they do not wait: they start what takes time.
    """

    def __init__(self) -> None:
        self._handlers: dict[type[Message], Callable[[Any], None]] = {}

    def on(self, kind: type[M], handler: Callable[[M], None]) -> None:
        self._handlers[kind] = handler

    def deliver(self, message: Message) -> None:
        handler = self._handlers.get(type(message))
        if handler is not None:
            handler(message)

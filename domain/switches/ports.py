"""What kill switches need from the store."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec

from domain.audit.ports import EventTx
from domain.ids import UserId
from domain.pagination import Page, PageQuery
from domain.switches.models import Switch, SwitchId, SwitchMode, SwitchName, TurnFacts


class SwitchOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A switch as an operator wants it."""

    name: SwitchName
    mode: SwitchMode
    reason: str
    expires_at: datetime | None = None


class Switches(Protocol):
    """Rows that are only ever added; they belong to no tenant."""

    async def await_turn(self) -> None:
        """Until the transaction ends nobody else changes switches, so revisions are committed in their order."""
        ...

    async def newest(self, name: SwitchName) -> Switch | None:
        """Cleared or not."""
        ...

    async def find(self, switch_id: SwitchId) -> Switch | None:
        """Its newest version, cleared or not."""
        ...

    async def set(self, order: SwitchOrder, present: Switch | None, by: UserId, new_id: SwitchId) -> Switch:
        """The next version of `present`, or the first of a new switch."""
        ...

    async def clear(self, present: Switch, by: UserId) -> Switch: ...

    async def page(self, query: PageQuery, *, cleared: bool) -> Page[Switch]:
        """Newest versions; those of cleared switches only when asked for."""
        ...


class SwitchTx(EventTx, Protocol):
    @property
    def switches(self) -> Switches: ...


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """Every switch that was not cleared, as of a revision; `age_s` is that of its newest change, by the database."""

    revision: int
    switches: Sequence[Switch]
    age_s: float


class SwitchReader(Protocol):
    async def standing(self, known: int | None) -> Standing | None:
        """None while `known` is still the newest revision. Raises ServiceUnavailable."""
        ...


class LiveTurns(Protocol):
    async def census(self) -> Sequence[tuple[TurnFacts, int]]:
        """The running turns of all tenants and processes, counted by what a switch can be about.

        Raises ServiceUnavailable.
        """
        ...


Tell: TypeAlias = Callable[[], Awaitable[None]]
"""Has every process look at what an operator changed; returns when this one has. Raises nothing."""

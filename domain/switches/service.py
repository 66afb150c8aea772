"""Setting, clearing and listing kill switches (api.md 3.11)."""

import msgspec

from domain.audit.administration import admin_event, platform_scope
from domain.audit.events import EventType, NewEvent
from domain.auth.administration import on_record
from domain.auth.policy import Action, Policy
from domain.clock import Clock
from domain.errors import InvalidRequest, KillSwitchNotFound, VersionConflict
from domain.ids import uuid7
from domain.pagination import Page, PageQuery
from domain.subject import Subject
from domain.switches.models import Switch, SwitchId, SwitchMode, SwitchName
from domain.switches.ports import LiveTurns, SwitchOrder, SwitchTx, Tell
from domain.switches.rules import concerns
from domain.unit_of_work import Access, UnitOfWork


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """A switch as it stands now, and how many running turns were in its scope when that was asked."""

    switch: Switch | None
    dry_run: bool
    affected_live_turns: int
    will_abort: bool


class SwitchService:
    def __init__(
        self, begin: UnitOfWork[SwitchTx], policy: Policy, live_turns: LiveTurns, tell: Tell, clock: Clock
    ) -> None:
        self._begin = begin
        self._policy = policy
        self._live_turns = live_turns
        self._tell = tell
        self._clock = clock

    async def set(self, who: Subject, order: SwitchOrder, expected: int | None, *, dry_run: bool) -> Effect:
        """When this returns the process that ran it obeys the switch, and the others are about to.

        Raises InvalidRequest for an end that has passed, VersionConflict, ServiceUnavailable.
        """
        self._policy.require(who, Action.SET_SWITCH)
        with on_record(who, Action.SET_SWITCH, f"{_text(order.name)} {order.mode}{' dry_run' if dry_run else ''}"):
            if order.expires_at is not None and order.expires_at <= self._clock.now():
                raise InvalidRequest.of("expires_at", "This has passed.", "out_of_range")
            affected = await self._affected(order.name)
            switch = (
                await self._present(who, order.name, expected) if dry_run else await self._set(who, order, expected)
            )
        return Effect(
            switch=switch,
            dry_run=dry_run,
            affected_live_turns=affected,
            will_abort=order.mode is SwitchMode.ABORT,
        )

    async def clear(self, who: Subject, switch_id: SwitchId, expected: int | None, *, dry_run: bool) -> Effect:
        """Raises KillSwitchNotFound, for one that was cleared too; VersionConflict, ServiceUnavailable."""
        self._policy.require(who, Action.SET_SWITCH)
        with on_record(who, Action.SET_SWITCH, f"clear {switch_id}{' dry_run' if dry_run else ''}"):
            async with self._begin(platform_scope(who), Access.READ if dry_run else Access.WRITE) as tx:
                switch = await _to_clear(tx, switch_id, expected, dry_run=dry_run)
                if not dry_run:
                    switch = await tx.switches.clear(switch, who.user_id)
                    await tx.events.add(self._event(who, switch))
            if not dry_run:
                await self._tell()
            affected = await self._affected(switch.name)
        return Effect(switch=switch, dry_run=dry_run, affected_live_turns=affected, will_abort=False)

    async def page(self, who: Subject, query: PageQuery, *, cleared: bool) -> Page[Switch]:
        self._policy.require(who, Action.READ_SWITCHES)
        with on_record(who, Action.READ_SWITCHES, "kill_switches"):
            async with self._begin(platform_scope(who), Access.READ) as tx:
                return await tx.switches.page(query, cleared=cleared)

    async def _set(self, who: Subject, order: SwitchOrder, expected: int | None) -> Switch:
        new_id = SwitchId(uuid7(self._clock.now()))
        async with self._begin(platform_scope(who)) as tx:
            await tx.switches.await_turn()
            present = await tx.switches.newest(order.name)
            _refuse_stale(present, expected)
            switch = await tx.switches.set(order, present, who.user_id, new_id)
            await tx.events.add(self._event(who, switch))
        await self._tell()
        return switch

    async def _present(self, who: Subject, name: SwitchName, expected: int | None) -> Switch | None:
        async with self._begin(platform_scope(who), Access.READ) as tx:
            present = await tx.switches.newest(name)
        _refuse_stale(present, expected)
        return present if present is not None and present.cleared_at is None else None

    def _event(self, who: Subject, switch: Switch) -> NewEvent:
        details = {
            "switch": switch.id,
            "scope": switch.name.scope,
            "target": switch.name.target,
            "mode": switch.mode,
            "version": switch.version,
            "reason": switch.reason,
            "cleared": switch.cleared_at is not None,
        }
        return admin_event(EventType.SWITCH_CHANGED, who, self._clock.now(), details)

    async def _affected(self, name: SwitchName) -> int:
        return sum(count for turn, count in await self._live_turns.census() if concerns(name, turn))


async def _to_clear(tx: SwitchTx, switch_id: SwitchId, expected: int | None, *, dry_run: bool) -> Switch:
    if not dry_run:
        await tx.switches.await_turn()
    switch = await tx.switches.find(switch_id)
    if switch is None or switch.cleared_at is not None:
        raise KillSwitchNotFound
    _refuse_stale(switch, expected)
    return switch


def _refuse_stale(present: Switch | None, expected: int | None) -> None:
    """A switch that was cleared does not exist: its version is 0, though the next one goes on counting."""
    version = 0 if present is None or present.cleared_at is not None else present.version
    if expected is not None and expected != version:
        raise VersionConflict(version)


def _text(name: SwitchName) -> str:
    return name.scope.value if name.target is None else f"{name.scope.value}:{name.target}"

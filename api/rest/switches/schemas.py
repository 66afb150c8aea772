"""Kill switches on the wire (api.md 3.11)."""

from datetime import UTC, datetime
from typing import Annotated, Final, Self
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.rest.page_out import PageOut
from api.rest.wire_types import Id, Moment, present
from domain.clock import utc_text
from domain.errors import InvalidRequest
from domain.switches.models import Feature, Switch, SwitchMode, SwitchName, SwitchScope, Tool
from domain.switches.ports import SwitchOrder
from domain.switches.service import Effect

Reason = Annotated[str, Meta(min_length=1, max_length=500)]
Target = Annotated[str, Meta(min_length=1, max_length=128)]
Version = Annotated[int, Meta(ge=0, le=2**63 - 1)]

_EVERYTHING: Final = "*"
_WORDS: Final = {SwitchScope.TOOL: frozenset(Tool), SwitchScope.FEATURE: frozenset(Feature)}


class SwitchIn(msgspec.Struct, frozen=True, kw_only=True):
    scope: SwitchScope
    target: Target | UnsetType = UNSET
    mode: SwitchMode = SwitchMode.ADMISSION
    reason: Reason
    expires_at: Annotated[datetime, Meta(tz=True)] | UnsetType = UNSET
    expected_version: Version | UnsetType = UNSET

    def order(self) -> SwitchOrder:
        """Raises InvalidRequest for a target that the scope does not have, and for an end beyond the calendar."""
        return SwitchOrder(
            name=SwitchName(self.scope, self._target()),
            mode=self.mode,
            reason=self.reason,
            expires_at=self._end(),
        )

    def _end(self) -> datetime | None:
        if self.expires_at is UNSET:
            return None
        try:
            return self.expires_at.astimezone(UTC)
        except OverflowError:
            raise InvalidRequest.of("expires_at", "This is no time in UTC.", "out_of_range") from None

    def _target(self) -> str | None:
        if self.scope is SwitchScope.GLOBAL:
            if self.target is not UNSET:
                raise InvalidRequest.of("target", "The scope global has no target.", "invalid_value")
            return None
        if self.target is UNSET:
            raise InvalidRequest.of("target", "This scope needs a target.", "required")
        if self.scope is SwitchScope.TENANT:
            return _tenant(self.target)
        if self.target == _EVERYTHING:
            raise InvalidRequest.of(
                "target", "One switch has one target; everything is the scope global.", "invalid_value"
            )
        words = _WORDS.get(self.scope)
        if words is not None and self.target not in words:
            raise InvalidRequest.of("target", f"This is none of {', '.join(sorted(words))}.", "invalid_value")
        return self.target


def _tenant(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise InvalidRequest.of("target", "This is not a UUID.", "invalid_uuid") from None


class SwitchOut(msgspec.Struct, frozen=True, kw_only=True):
    id: Id
    scope: SwitchScope
    target: str | None
    mode: SwitchMode
    reason: str
    version: int
    created_by: Id
    created_at: Moment
    expires_at: Moment | UnsetType = UNSET
    cleared_at: Moment | UnsetType = UNSET

    @classmethod
    def of(cls, switch: Switch) -> Self:
        return cls(
            id=str(switch.id),
            scope=switch.name.scope,
            target=switch.name.target,
            mode=switch.mode,
            reason=switch.reason,
            version=switch.version,
            created_by=str(switch.created_by),
            created_at=utc_text(switch.created_at),
            expires_at=present(None if switch.expires_at is None else utc_text(switch.expires_at)),
            cleared_at=present(None if switch.cleared_at is None else utc_text(switch.cleared_at)),
        )


class EffectOut(msgspec.Struct, frozen=True, kw_only=True):
    """`affected_live_turns`: running turns in scope, of all tenants and processes."""

    switch: SwitchOut | None
    dry_run: bool
    affected_live_turns: int
    will_abort: bool

    @classmethod
    def of(cls, effect: Effect) -> Self:
        return cls(
            switch=None if effect.switch is None else SwitchOut.of(effect.switch),
            dry_run=effect.dry_run,
            affected_live_turns=effect.affected_live_turns,
            will_abort=effect.will_abort,
        )


class SwitchPageOut(PageOut[SwitchOut], frozen=True, kw_only=True):
    pass

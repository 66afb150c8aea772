"""Switches and moments for tests."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

from domain.ids import TenantId, UserId
from domain.switches.models import Switch, SwitchId, SwitchMode, SwitchName, SwitchScope
from domain.switches.rules import SwitchState

NOW = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
LATER = NOW + timedelta(minutes=10)
TENANT, OTHER_TENANT = TenantId(UUID(int=1)), TenantId(UUID(int=2))


def a_switch(
    scope: SwitchScope,
    target: str | None,
    mode: SwitchMode = SwitchMode.ADMISSION,
    *,
    expires_at: datetime | None = None,
    cleared_at: datetime | None = None,
) -> Switch:
    return Switch(
        id=SwitchId(UUID(int=7)),
        name=SwitchName(scope, target),
        mode=mode,
        reason="test",
        version=1,
        created_by=UserId(UUID(int=9)),
        created_at=NOW,
        expires_at=expires_at,
        cleared_at=cleared_at,
    )


def state(*switches: Switch) -> SwitchState:
    return SwitchState(switches={switch.name: switch for switch in switches})

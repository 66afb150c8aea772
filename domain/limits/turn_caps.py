"""How many turns may run at the same time (engine.md 4.10)."""

from typing import Final

import msgspec

from domain.errors import TooManyActiveTurns
from domain.limits.models import Standing, TurnCap
from domain.limits.rates import ACTIVE_TURNS, Quotas
from domain.limits.standings import note_standing
from domain.telemetry.ports import Counted, Telemetry

TENANT_ACTIVE_TURNS: Final = "tenant-active-turns"


class RunningTurns(msgspec.Struct, frozen=True, kw_only=True):
    """Those of one user, and those of its tenant, the user's included."""

    of_user: int
    of_tenant: int


class TurnCaps:
    def __init__(self, quotas: Quotas, telemetry: Telemetry) -> None:
        self._user = TurnCap(name=ACTIVE_TURNS, quota=quotas.active_turns)
        self._tenant = TurnCap(name=TENANT_ACTIVE_TURNS, quota=quotas.tenant_active_turns)
        self._telemetry = telemetry

    def require_room(self, others: RunningTurns) -> None:
        """For one more beside these. Raises TooManyActiveTurns."""
        for cap, running in ((self._user, others.of_user), (self._tenant, others.of_tenant)):
            if not cap.quota:
                continue
            note_standing(Standing(cap, max(cap.quota - running - 1, 0)))
            if running >= cap.quota:
                self._telemetry.count(Counted.RATE_LIMITED, scope=cap.name)
                raise TooManyActiveTurns(cap.name)

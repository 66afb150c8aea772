"""What bootstrap makes: the use cases the protocols call, and the things that are opened and closed around them."""

from dataclasses import dataclass

from api.rest.routes import RestServices
from app.drain import DrainSwitch
from app.jobs import Background
from app.messaging import Messaging
from app.periodic import Bell
from app.policy_watch import PolicyWatch
from domain.clock import Clock
from domain.operations.dead_letters import DeadLetterWatch
from domain.quotas.hold_audit import HoldAuditor
from domain.streaming.supervisor import TurnSupervisor
from domain.telemetry.ports import Telemetry
from domain.turns.cancel_watch import CancelWatch
from domain.turns.followers import Followers
from domain.turns.leases import LeaseBeat
from domain.turns.mirrors import Mirrors
from domain.turns.reaper import Reaper
from infra.postgres.engine import Pools
from infra.providers.registry import ProviderRegistry


@dataclass(frozen=True, kw_only=True)
class Runtime:
    """Wired and closed; `lifespan.running` opens it."""

    rest: RestServices
    clock: Clock
    telemetry: Telemetry
    drain: DrainSwitch
    pools: Pools
    providers: ProviderRegistry
    keys_refused: Bell
    supervisor: TurnSupervisor
    messaging: Messaging
    policy_watch: PolicyWatch
    followers: Followers
    mirrors: Mirrors
    beat: LeaseBeat
    cancel_watch: CancelWatch
    reaper: Reaper
    hold_audit: HoldAuditor
    dead_letters: DeadLetterWatch
    background: Background

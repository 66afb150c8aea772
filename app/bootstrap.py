"""Every object of the system, made by hand, top to bottom. Opens nothing and needs no event loop."""

from collections.abc import Mapping

from api.rest.callers import Caution
from api.rest.chats.titles import TitleController
from api.rest.client_address import TrustedProxies
from api.rest.cursor import Cursors
from api.rest.jobs.controller import JobController
from api.rest.models.administration import CatalogueController
from api.rest.quotas.administration import QuotaAdministrationController
from api.rest.quotas.controller import QuotaController
from api.rest.quotas.usage import UsageController
from api.rest.quotas.usage_sums import UsageReportController
from api.rest.request_body import BodyLimits
from api.rest.routes import RestServices
from api.rest.switches.controller import SwitchController
from api.rest.turns.cancelling import CancelController
from api.rest.turns.changes import TurnChangeController
from api.rest.turns.controller import CreateAndSendController, SendController, Sending
from api.rest.turns.events import Resuming, TurnEventsController
from api.rest.turns.live import LiveTurnController
from api.rest.turns.status import TurnStatusController
from api.streaming.response import KeepAlive
from app.authentication import token_verifier
from app.database import open_pools, transaction_limits
from app.drain import DrainSwitch
from app.exports import build_sinks
from app.jobs import background
from app.messaging import messaging
from app.model_access import model_access
from app.policy_watch import PolicyWatch
from app.readiness import readiness_checks
from app.runtime import Runtime
from app.settings import Settings, TelemetrySettings
from app.signing_keys import cursor_keys
from app.system_work import summarising, system_calls
from domain.auth.policy import Policy
from domain.catalogue.administration import CatalogueAdministration
from domain.catalogue.service import ModelService
from domain.catalogue.switched import SwitchedCatalogue
from domain.chats.service import ChatService
from domain.clock import Clock, SystemClock
from domain.ids import OwnerId, uuid7
from domain.limits.address_brake import AddressBrake
from domain.limits.rates import Rates
from domain.limits.turn_caps import TurnCaps
from domain.messages.service import MessageService
from domain.operations.dead_letters import DeadLetterWatch
from domain.operations.service import JobAdministration
from domain.providers.pseudonyms import Pseudonymiser
from domain.quotas.administration import QuotaAdministration
from domain.quotas.charges import ChargeService
from domain.quotas.hold_audit import HoldAuditor
from domain.quotas.service import QuotaService
from domain.quotas.usage_sums import UsageReports
from domain.streaming.models import StreamLimits
from domain.streaming.supervisor import TurnSupervisor
from domain.switches.service import SwitchService
from domain.telemetry.ports import Telemetry
from domain.titles.service import TitleService
from domain.turns.admission import Admission
from domain.turns.attaching import Attaching
from domain.turns.books import TurnBooks
from domain.turns.bus import FollowTurn, LeaveTurn, PolicyChanged, ShowEvents, StopTurn
from domain.turns.calling import CallMark
from domain.turns.cancel_watch import CancelWatch
from domain.turns.cancellation import Cancellation, stopping_when_told
from domain.turns.chat_gone import stopping_when_chat_goes
from domain.turns.finalisation import TurnFinaliser
from domain.turns.followers import Followers
from domain.turns.leases import LeaseBeat
from domain.turns.live import LiveTurnService
from domain.turns.mirrors import Mirrors
from domain.turns.opening import Opening
from domain.turns.planning import Planning
from domain.turns.reaper import Reaper
from domain.turns.removal import TurnRemoval
from domain.turns.service import TurnService
from domain.turns.status import TurnStatuses
from domain.turns.switch_enforcement import SwitchEnforcement
from domain.turns.switch_gate import SwitchGate
from domain.turns.tool_offers import ToolOffers
from infra.auth.remembered_tokens import RememberedTokens
from infra.local.rate_limiter import LocalRateLimiter
from infra.postgres.cross_tenant import PostgresLeases
from infra.postgres.held_buckets import PostgresHeldBuckets
from infra.postgres.live_turns import PostgresLiveTurns
from infra.postgres.repositories.events import EventKeeping
from infra.postgres.unit_of_work import PostgresUnitOfWork
from infra.postgres.usage_sums import PostgresUsageSums
from infra.telemetry.tracing import telemetry_for


def build(settings: Settings, database_url: str, env: Mapping[str, str]) -> Runtime:
    """The whole process, closed. Raises Mistakes for settings that only show here to be unusable."""
    clock, policy, telemetry = SystemClock(), Policy(), _telemetry(settings.telemetry)
    owner = OwnerId(uuid7(clock.now()))
    keys = cursor_keys(settings, env)
    pools = open_pools(settings.database, database_url)
    limits = transaction_limits(settings.database)
    access = model_access(settings, env, Pseudonymiser(keys.current), pools, limits, clock, telemetry)
    providers, listed, board = access.providers, access.listed, access.board
    sinks = build_sinks(settings, env, clock)
    keeping = EventKeeping(exported=sinks.streams, retention=settings.audit.retention)
    begin = PostgresUnitOfWork(pools.requests, limits, keeping)
    begin_reserved = PostgresUnitOfWork(pools.reserved, limits, keeping)
    begin_jobs = PostgresUnitOfWork(pools.background, limits, keeping)
    leases = PostgresLeases(pools.reserved, limits)
    calls = system_calls(settings, access, begin, clock, telemetry)
    calls_of_jobs = system_calls(settings, access, begin_jobs, clock, telemetry)
    summaries = summarising(settings, access, begin_jobs, calls_of_jobs, clock, telemetry)
    catalogue = SwitchedCatalogue(listed, board, clock)
    dead_letters = DeadLetterWatch(begin_jobs, clock, telemetry)
    turn = settings.turn
    rules = settings.quota.rules()
    finaliser = TurnFinaliser(
        begin_reserved, settings.estimation, rules, turn.finalise_deadline, turn.lease, clock, telemetry
    )
    books = TurnBooks(CallMark(begin, turn.finalise_deadline), finaliser)
    drain, messages = DrainSwitch(), messaging(settings.redis, owner, clock, telemetry)
    quotas = settings.limits.quotas()
    rates = Rates(messages.limiter, quotas, telemetry)
    supervisor = TurnSupervisor(books, _stream_limits(settings), clock.monotonic, telemetry)
    enforcement = SwitchEnforcement(supervisor, board, clock)
    gate = SwitchGate(board, clock)

    turns = TurnService(
        begin,
        policy,
        Admission(
            begin,
            catalogue,
            gate,
            supervisor,
            Planning(
                catalogue,
                providers,
                ToolOffers(gate, rules.tools, settings.context.guards()),
                settings.estimation,
                rules,
                telemetry,
            ),
            settings.estimation,
            settings.context.recent_turns,
            settings.summary.rules(),
        ),
        Opening(
            begin,
            supervisor,
            enforcement,
            providers,
            owner,
            turn.lease,
            TurnCaps(quotas, telemetry),
            access.pseudonymiser,
            settings.titles.mode,
            clock,
        ),
        rates,
        clock,
        telemetry,
    )
    keep_alive = _keep_alive(settings)
    verifier = token_verifier(settings.auth, settings.data_dir, clock)
    messages.inbox.on(StopTurn, stopping_when_told(supervisor))
    cancellation = Cancellation(
        begin_reserved, begin, policy, supervisor, messages.bus, settings.cancel.receipt_wait, telemetry
    )
    followers = Followers(messages.bus, owner, settings.streaming.follow_interval, _stream_limits(settings))
    mirrors = Mirrors(supervisor, messages.bus)
    messages.inbox.on(FollowTurn, mirrors.follow)
    messages.inbox.on(LeaveTurn, mirrors.leave)
    messages.inbox.on(ShowEvents, followers.show)
    policy_watch = PolicyWatch(
        settings.switches.poll_interval, board, access.upkeep, enforcement, supervisor, messages.broadcast, telemetry
    )
    messages.inbox.on(PolicyChanged, policy_watch.heard)
    live_turns = PostgresLiveTurns(pools.requests, limits, listed)
    attaching = Attaching(begin, policy, supervisor, messages.bus, followers, telemetry)
    return Runtime(
        rest=RestServices(
            chats=ChatService(
                begin,
                policy,
                catalogue,
                stopping_when_chat_goes(supervisor, messages.bus),
                clock,
                settings.retention.deleted_chats,
            ),
            messages=MessageService(begin, policy),
            models=ModelService(policy, catalogue),
            verifier=verifier,
            policy=policy,
            rates=rates,
            caution=_caution(settings, verifier, clock, telemetry),
            cursors=Cursors(keys),
            drain=drain,
            checks={**readiness_checks(pools, board, listed, providers, dead_letters), **messages.checks},
            limits=BodyLimits(max_bytes=settings.http.max_body_bytes, stall=settings.http.body_idle_timeout),
            further_controllers=(
                TitleController,
                SendController,
                CreateAndSendController,
                TurnStatusController,
                TurnChangeController,
                TurnEventsController,
                CancelController,
                QuotaController,
                UsageController,
                UsageReportController,
                QuotaAdministrationController,
                SwitchController,
                CatalogueController,
                JobController,
                LiveTurnController,
            ),
            further_dependencies={
                "sending": Sending(turns=turns, keep_alive=keep_alive),
                "resuming": Resuming(attaching=attaching, keep_alive=keep_alive),
                "cancellation": cancellation,
                "statuses": TurnStatuses(begin, policy),
                "titles": TitleService(begin, policy, calls, board, rates, clock),
                "charges": ChargeService(begin, policy),
                "quota_administration": QuotaAdministration(begin, policy, rules, clock),
                "usage_reports": UsageReports(PostgresUsageSums(pools.requests, limits), policy),
                "quotas": QuotaService(begin, policy, rules),
                "removal": TurnRemoval(begin, policy, clock),
                "live_turns": LiveTurnService(begin, live_turns, policy, cancellation, clock),
                "administration": CatalogueAdministration(
                    begin, policy, listed, access.source, access.upkeep, policy_watch.tell, clock
                ),
                "jobs": JobAdministration(begin, policy, clock),
                "switches": SwitchService(begin, policy, live_turns, policy_watch.tell, clock),
            },
        ),
        clock=clock,
        telemetry=telemetry,
        drain=drain,
        pools=pools,
        providers=providers,
        keys_refused=access.keys_refused,
        supervisor=supervisor,
        followers=followers,
        mirrors=mirrors,
        messaging=messages,
        policy_watch=policy_watch,
        beat=LeaseBeat(supervisor, leases, begin_reserved, turn.lease, turn.blind_limit, clock, telemetry),
        cancel_watch=CancelWatch(supervisor, leases, messages.bus),
        hold_audit=HoldAuditor(PostgresHeldBuckets(pools.reserved, limits), begin_reserved, clock, telemetry),
        dead_letters=dead_letters,
        reaper=Reaper(leases, begin_reserved, owner, turn.lease, settings.estimation, rules, clock, telemetry),
        background=background(settings, database_url, begin_jobs, sinks, calls_of_jobs, summaries, telemetry),
    )


def _telemetry(telemetry: TelemetrySettings) -> Telemetry:
    return telemetry_for(telemetry.otlp_endpoint, telemetry.service_name, telemetry.export_deadline)


def _stream_limits(settings: Settings) -> StreamLimits:
    return StreamLimits(
        capacity=settings.streaming.channel_capacity,
        send_deadline=settings.streaming.send_deadline,
        reader_deadline=settings.streaming.reader_deadline,
        max_readers=settings.streaming.max_readers,
        turn_deadline=settings.deadline.total,
        max_running=settings.turn.max_running,
        max_text_bytes=settings.turn.max_text_bytes,
    )


def _caution(settings: Settings, verifier: RememberedTokens, clock: Clock, telemetry: Telemetry) -> Caution:
    failures = settings.limits.address.failures_per_minute
    return Caution(
        brake=AddressBrake(LocalRateLimiter(clock.monotonic), failures, telemetry),
        proxies=TrustedProxies(settings.http.trusted_proxies),
        recall=verifier.recalled,
    )


def _keep_alive(settings: Settings) -> KeepAlive:
    return KeepAlive(ping_interval=settings.streaming.ping_interval, send_deadline=settings.streaming.send_deadline)

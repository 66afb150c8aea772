"""The turn engine over a real database, assembled as the application does it but for HTTP and the provider."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec

from domain.auth.policy import LICENCE_FEATURE, Policy
from domain.catalogue.models import Estimation, ModelSpec
from domain.chats.service import ChatDraft, ChatService
from domain.clock import Clock, SystemClock
from domain.context.tool_texts import Guards
from domain.ids import ChatId, OwnerId, RequestId, TenantId, UserId
from domain.limits.rates import Quotas, Rates
from domain.limits.turn_caps import TurnCaps
from domain.messages.service import MessageService
from domain.providers.ports import Provider
from domain.providers.pseudonyms import Pseudonymiser
from domain.quotas.models import QuotaRules
from domain.streaming.channel import Reader
from domain.streaming.events import Done, Numbered
from domain.streaming.models import StreamLimits
from domain.streaming.supervisor import TurnSupervisor
from domain.subject import AuthMethod, Subject
from domain.summaries.trigger import SummaryRules
from domain.switches.board import Switchboard
from domain.telemetry.ports import SilentTelemetry, Telemetry
from domain.telemetry.trace_context import new_trace
from domain.titles.models import TitleMode
from domain.tools.offered import NO_FILES, ChatFiles
from domain.turns.admission import Admission
from domain.turns.books import TurnBooks
from domain.turns.bus import Inbox, StopTurn
from domain.turns.calling import CallMark
from domain.turns.cancel_watch import CancelWatch
from domain.turns.cancellation import Cancellation, stopping_when_told
from domain.turns.chat_gone import stopping_when_chat_goes
from domain.turns.finalisation import TurnFinaliser
from domain.turns.leases import LeaseBeat
from domain.turns.models import LATEST, SendCommand, TurnName
from domain.turns.mutations import ChangeCommand
from domain.turns.opening import Opening
from domain.turns.planning import Planning
from domain.turns.reaper import Reaper
from domain.turns.removal import TurnRemoval
from domain.turns.service import Conversation, TurnService
from domain.turns.status import TurnStatuses
from domain.turns.switch_enforcement import SwitchEnforcement
from domain.turns.switch_gate import SwitchGate
from domain.turns.tool_offers import ToolOffers
from infra.local.bus import Exchange, LocalBus
from infra.postgres.cross_tenant import PostgresLeases
from infra.postgres.engine import PoolLimits, Pools, create_pools
from infra.postgres.policy_reader import PostgresPolicyReader
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.limits import unlimited
from tests.fakes.providers import OneProvider

RULES = QuotaRules()
PSEUDONYMISER = Pseudonymiser(b"a key of the tests")
SUMMARIES = SummaryRules()
MODEL = ModelSpec(id="test-model", provider_id="test", provider_model_id="remote", is_default=True)


class FixedCatalogue:
    version = 1

    def __init__(self, *models: ModelSpec) -> None:
        self._models = models

    def models(self) -> tuple[ModelSpec, ...]:
        return self._models


class Engine(msgspec.Struct, kw_only=True):
    pools: Pools
    supervisor: TurnSupervisor
    chats: ChatService
    messages: MessageService
    turns: TurnService
    removal: TurnRemoval
    statuses: TurnStatuses
    beat: LeaseBeat
    reaper: Reaper
    cancellation: Cancellation
    cancel_watch: CancelWatch
    board: Switchboard
    enforcement: SwitchEnforcement

    async def send(self, who: Subject, chat_id: ChatId, content: str = "Hello", **members: Any) -> Conversation:
        command = SendCommand(target=chat_id, content=content, **members)
        return await self.turns.send(who, command, new_trace())

    async def change(
        self, who: Subject, chat_id: ChatId, turn: TurnName = LATEST, content: str | None = None, **members: Any
    ) -> Conversation:
        """A retry, or with content an edit."""
        command = ChangeCommand(chat_id=chat_id, turn=turn, content=content, **members)
        return await self.turns.change(who, command, new_trace())


def a_user(*, tenant_id: TenantId | None = None) -> Subject:
    return Subject(
        tenant_id=tenant_id or TenantId(uuid4()),
        user_id=UserId(uuid4()),
        roles=frozenset({"user"}),
        features=frozenset({LICENCE_FEATURE}),
        auth_method=AuthMethod.DEV,
    )


def a_key() -> RequestId:
    return RequestId(uuid4())


async def a_chat(engine: Engine, who: Subject) -> ChatId:
    return (await engine.chats.create(who, ChatDraft())).id


async def read_all(reader: Reader) -> list[Numbered]:
    events: list[Numbered] = []
    while not reader.ended:
        events.extend(await reader.receive())
    return events


def told_again(event: Numbered) -> Numbered:
    """As a replay tells it: what is left of the credits is told to the first readers alone."""
    number, told = event
    return number, msgspec.structs.replace(told, quota_warnings=()) if isinstance(told, Done) else told


@asynccontextmanager
async def running_engine(
    dsn: str,
    provider: Provider,
    *,
    limits: StreamLimits | None = None,
    lease: timedelta = timedelta(seconds=20),
    finalise_deadline: timedelta = timedelta(seconds=10),
    receipt_wait: timedelta = timedelta(seconds=10),
    exchange: Exchange | None = None,
    clock: Clock | None = None,
    rates: Rates | None = None,
    caps: Quotas | None = None,
    rules: QuotaRules = RULES,
    models: tuple[ModelSpec, ...] = (MODEL,),
    telemetry: Telemetry | None = None,
    summaries: SummaryRules = SUMMARIES,
    files: ChatFiles = NO_FILES,
    titles: TitleMode = TitleMode.FIRST_LINE,
) -> AsyncIterator[Engine]:
    pools = create_pools(
        dsn,
        PoolLimits(size=10, reserved_size=2, acquire=timedelta(seconds=5), statement=timedelta(seconds=3)),
        application_name="tests",
    )
    board = Switchboard(PostgresPolicyReader(pools.reserved, TransactionLimits()))
    engine = _assembled(
        pools,
        board,
        provider,
        limits or StreamLimits(),
        lease,
        finalise_deadline,
        receipt_wait,
        exchange or Exchange(),
        clock or SystemClock(),
        rates or unlimited(),
        TurnCaps(caps or Quotas(), SilentTelemetry()),
        rules,
        models,
        telemetry or SilentTelemetry(),
        summaries,
        files,
        titles,
    )
    try:
        await board.refresh()
        async with engine.supervisor.running():
            yield engine
            await engine.supervisor.end_all()
    finally:
        await pools.dispose()


def _assembled(
    pools: Pools,
    board: Switchboard,
    provider: Provider,
    limits: StreamLimits,
    lease: timedelta,
    finalise_deadline: timedelta,
    receipt_wait: timedelta,
    exchange: Exchange,
    clock: Clock,
    rates: Rates,
    caps: TurnCaps,
    rules: QuotaRules,
    models: tuple[ModelSpec, ...],
    telemetry: Telemetry,
    summaries: SummaryRules,
    files: ChatFiles,
    titles: TitleMode,
) -> Engine:
    policy, budgets = Policy(), Estimation()
    owner, catalogue = OwnerId(uuid4()), FixedCatalogue(*models)
    begin = PostgresUnitOfWork(pools.requests, TransactionLimits())
    begin_reserved = PostgresUnitOfWork(pools.reserved, TransactionLimits())
    leases = PostgresLeases(pools.reserved, TransactionLimits())
    finaliser = TurnFinaliser(begin_reserved, budgets, rules, finalise_deadline, lease, clock, telemetry)
    books = TurnBooks(CallMark(begin, finalise_deadline), finaliser)
    supervisor = TurnSupervisor(books, limits, clock.monotonic, telemetry)
    enforcement = SwitchEnforcement(supervisor, board, clock)
    gate, providers = SwitchGate(board, clock), OneProvider(provider)

    inbox = Inbox()
    inbox.on(StopTurn, stopping_when_told(supervisor))
    bus = LocalBus(exchange, owner, inbox)

    return Engine(
        pools=pools,
        supervisor=supervisor,
        chats=ChatService(begin, policy, catalogue, stopping_when_chat_goes(supervisor, bus), clock),
        messages=MessageService(begin, policy),
        turns=TurnService(
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
                    ToolOffers(gate, rules.tools, Guards(), files),
                    budgets,
                    rules,
                    telemetry,
                ),
                budgets,
                recent_turns=20,
                summaries=summaries,
            ),
            Opening(begin, supervisor, enforcement, providers, owner, lease, caps, PSEUDONYMISER, titles, clock),
            rates,
            clock,
            telemetry,
        ),
        removal=TurnRemoval(begin, policy, clock),
        statuses=TurnStatuses(begin, policy),
        beat=LeaseBeat(supervisor, leases, begin_reserved, lease, timedelta(seconds=30), clock, telemetry),
        reaper=Reaper(leases, begin_reserved, owner, lease, budgets, rules, clock, telemetry),
        cancellation=Cancellation(begin_reserved, begin, policy, supervisor, bus, receipt_wait, telemetry),
        cancel_watch=CancelWatch(supervisor, leases, bus),
        board=board,
        enforcement=enforcement,
    )

"""The one transaction that makes a turn: chat row, user message, running turn, the end of the turn it replaces,
and the credits it holds.

Then the turn starts.
"""

from contextlib import suppress
from datetime import timedelta

import anyio
from msgspec.structs import replace

from domain.chats.models import NewChat
from domain.clock import Clock
from domain.context.assembler import Plan
from domain.errors import ServiceUnavailable
from domain.ids import ChatId, MessageId, OwnerId, TurnId, uuid7
from domain.limits.turn_caps import TurnCaps
from domain.providers.ports import Providers
from domain.providers.pseudonyms import Pseudonymiser
from domain.providers.request import ProviderRequest, Purpose
from domain.scope import AccessScope
from domain.streaming.channel import Receiver
from domain.streaming.fallback import Fallback
from domain.streaming.ports import TurnBrief
from domain.streaming.supervisor import TurnSupervisor
from domain.telemetry.trace_context import TraceContext
from domain.titles.models import TitleMode
from domain.tools.offered import ToolSet
from domain.turns.admission import Admitted
from domain.turns.audit import events_of_opening
from domain.turns.models import Fence, Gate, NewTurn, TurnKind, TurnState
from domain.turns.mutations import ChangeCommand
from domain.turns.naming import title_at_once, title_due
from domain.turns.ports import TurnTx
from domain.turns.spare import Spare
from domain.turns.switch_enforcement import SwitchEnforcement
from domain.unit_of_work import Access, LostRace, OutcomeUnknown, TransactionConflict, UnitOfWork

_FIRST_EPOCH = 1
_PATIENCE = timedelta(seconds=10)
_SOON = timedelta(seconds=1)
_PAUSE_S = 0.1
_STARTED = Fence(state=TurnState.RUNNING, owner_epoch=_FIRST_EPOCH)


class Opening:
    def __init__(
        self,
        begin: UnitOfWork[TurnTx],
        supervisor: TurnSupervisor,
        enforcement: SwitchEnforcement,
        providers: Providers,
        owner: OwnerId,
        lease: timedelta,
        caps: TurnCaps,
        pseudonymiser: Pseudonymiser,
        titles: TitleMode,
        clock: Clock,
    ) -> None:
        self._begin = begin
        self._supervisor = supervisor
        self._enforcement = enforcement
        self._providers = providers
        self._owner = owner
        self._lease = lease
        self._caps = caps
        self._pseudonymiser = pseudonymiser
        self._titles = titles
        self._clock = clock

    async def open(self, scope: AccessScope, admitted: Admitted, trace: TraceContext) -> tuple[ChatId, Receiver] | None:
        """The started turn's first reader; None when the chat or the counters moved on since they were read,
        and nothing was written.

        Commit and start share one shielded block, so a client that goes away cannot fall between them.
        Raises TooManyActiveTurns, ServiceUnavailable.
        """
        with anyio.move_on_after(_PATIENCE.total_seconds(), shield=True):
            turn = self._new_turn(scope, admitted, trace)
            if not await self._written(turn, admitted):
                return None
            return turn.brief.chat_id, self._start(turn.brief, admitted)
        raise ServiceUnavailable(retry_after=_SOON)

    async def require_room(self, scope: AccessScope) -> None:
        """Raises TooManyActiveTurns where `open` would, at this moment."""
        async with self._begin(scope, Access.READ) as tx:
            self._caps.require_room(await tx.turns.running())

    async def _written(self, turn: NewTurn, admitted: Admitted) -> bool:
        try:
            async with self._begin(turn.brief.scope) as tx:
                return await self._opened(tx, turn, admitted)
        except (LostRace, TransactionConflict):
            return False
        except OutcomeUnknown:
            return await self._was_committed(turn.brief)

    async def _opened(self, tx: TurnTx, turn: NewTurn, admitted: Admitted) -> bool:
        if not await self._inserted(tx, turn, admitted):
            return False
        # Last, so that the counters everybody needs are locked for no longer than the commit takes.
        await tx.quotas.reserve(admitted.planned.claim)
        return True

    async def _inserted(self, tx: TurnTx, turn: NewTurn, admitted: Admitted) -> bool:
        place = admitted.place
        title = None if self._titles is TitleMode.OFF else title_at_once(place, turn.content)
        if isinstance(place, NewChat):
            await tx.turns.queue_up()
            named = replace(place, first_line=title)
            self._caps.require_room(await tx.turns.open_in_new_chat(turn, named, self._lease))
            await tx.events.add(*events_of_opening(turn, admitted, self._clock.now()))
            return True
        user_seq = await tx.turns.reserve_seq(place.chat_id, place.revision, title)
        if user_seq is None:
            return False
        if admitted.replaces is None:
            self._caps.require_room(await tx.turns.open(turn, user_seq, self._lease))
        else:
            others = await tx.turns.open_in_place_of(admitted.replaces, turn, user_seq, self._lease)
            self._caps.require_room(others)
            await tx.events.add(*events_of_opening(turn, admitted, self._clock.now()))
        return True

    async def _was_committed(self, brief: TurnBrief) -> bool:
        """The turn id is ours alone, so its row answers what the lost reply would have said.

        Asked until the patience around it ends: a turn that was committed and is not started has cost the turn it
        replaces.
        """
        while True:
            with suppress(ServiceUnavailable):
                async with self._begin(brief.scope, Access.READ) as tx:
                    return await tx.turns.fence(brief.turn_id) == _STARTED
            await anyio.sleep(_PAUSE_S)

    def _start(self, brief: TurnBrief, admitted: Admitted) -> Receiver:
        model = brief.resolution.effective
        receiver = self._supervisor.start(
            brief,
            self._providers.for_provider(model.provider_id),
            self._request(brief, admitted.planned.plan, admitted.planned.tools),
            self._fallback(brief, admitted.planned.spare),
        )
        # What was switched off since the gates looked did not find this turn yet.
        self._enforcement.look_at(brief)
        return receiver

    def _fallback(self, brief: TurnBrief, spare: Spare | None) -> Fallback | None:
        if spare is None:
            return None
        instead = replace(
            brief,
            resolution=replace(brief.resolution, effective=spare.model),
            hold=spare.hold,
            tools=spare.tools.names,
            tool_limits=spare.tools.limits,
        )
        return Fallback(
            brief=instead,
            provider=self._providers.for_provider(spare.model.provider_id),
            request=self._request(instead, spare.plan, spare.tools),
            is_offered=spare.is_offered,
            on_taken=lambda: self._enforcement.look_at(instead),
        )

    def _request(self, brief: TurnBrief, plan: Plan, tools: ToolSet) -> ProviderRequest:
        model = brief.resolution.effective
        return ProviderRequest(
            purpose=Purpose.CHAT,
            model=model.provider_model_id,
            catalog_model=model.id,
            instructions=plan.instructions,
            items=plan.items,
            max_output_tokens=model.max_output_tokens,
            params=model.api_params,
            tools=tools.tools,
            max_tool_calls=tools.calls_within(model.max_tool_calls),
            deadlines=model.deadlines,
            pseudonyms=self._pseudonymiser.of(brief.scope, brief.chat_id),
            traceparent=brief.trace.traceparent(),
        )

    def _new_turn(self, scope: AccessScope, admitted: Admitted, trace: TraceContext) -> NewTurn:
        now, command, place = self._clock.now(), admitted.command, admitted.place
        chat_id = place.chat_id if isinstance(place, Gate) else ChatId(uuid7(now))
        return NewTurn(
            kind=_kind_of(admitted),
            fingerprint=admitted.origin.fingerprint(),
            content=command.content,
            metadata=command.metadata,
            web_search=command.web_search,
            fallback_model=None if admitted.planned.spare is None else admitted.planned.spare.model.id,
            user_message_id=MessageId(uuid7(now)),
            owner=self._owner,
            brief=TurnBrief(
                turn_id=TurnId(uuid7(now)),
                chat_id=chat_id,
                scope=scope,
                request_id=admitted.request_id,
                message_id=MessageId(uuid7(now)),
                epoch=_FIRST_EPOCH,
                on_disconnect=command.on_disconnect,
                resolution=admitted.planned.resolution,
                hold=admitted.planned.claim.hold,
                trace=trace,
                started=self._clock.monotonic(),
                tools=admitted.planned.tools.names,
                tool_limits=admitted.planned.tools.limits,
                recap_tokens=admitted.planned.recap_tokens,
                summary_due=admitted.summary_due,
                title_due=title_due(place, scope, chat_id) if self._titles is TitleMode.MODEL else None,
            ),
            plan_tokens=admitted.planned.plan.estimated_tokens,
            turns_dropped=admitted.planned.plan.turns_dropped,
        )


def _kind_of(admitted: Admitted) -> TurnKind:
    if isinstance(admitted.origin, ChangeCommand):
        return admitted.origin.kind
    return TurnKind.SEND if isinstance(admitted.place, Gate) else TurnKind.CREATE_SEND

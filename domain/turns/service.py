"""Asking for an answer, by a send or by changing the last turn: refuse, or write and start, or tell again."""

import msgspec

from domain.auth.policy import Action, Policy
from domain.chats.service import ChatDraft
from domain.clock import Clock
from domain.errors import (
    ChatNotFound,
    ContextBudgetExceeded,
    DomainError,
    InputTooLong,
    QuotaExceeded,
    RequestIdConflict,
    ServiceUnavailable,
)
from domain.ids import ChatId, RequestId, uuid7
from domain.limits.rates import Rates, SendPermit
from domain.quotas.rejections import QuotaRejections
from domain.scope import AccessScope, scope_for
from domain.streaming.channel import Reader, Recording
from domain.streaming.events import Done, QuotaWarning, TurnError
from domain.streaming.failures import TurnEnded, turn_error
from domain.subject import Subject
from domain.telemetry.ports import Counted, SpanName, Telemetry
from domain.telemetry.trace_context import TraceContext
from domain.turns.admission import Admission, Admitted
from domain.turns.models import PUBLIC_STATES, SendCommand, StoredAnswer, TurnKind
from domain.turns.mutations import ChangeCommand
from domain.turns.opening import Opening
from domain.turns.ports import TurnTx
from domain.turns.replay import replayed
from domain.unit_of_work import Access, UnitOfWork

_PASSES = 3
_REFUSED_AFTER_RATES = (QuotaExceeded, InputTooLong, ContextBudgetExceeded)
_CHANGES = {TurnKind.RETRY: Action.RETRY_TURN, TurnKind.EDIT: Action.EDIT_TURN}


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted call. Whoever holds it reads it to its end or leaves it."""

    chat_id: ChatId
    request_id: RequestId
    reader: Reader
    is_new_turn: bool


class UnaryAnswer(msgspec.Struct, frozen=True, kw_only=True):
    answer: StoredAnswer
    is_new_turn: bool
    quota_warnings: tuple[QuotaWarning, ...]


class TurnService:
    def __init__(
        self,
        begin: UnitOfWork[TurnTx],
        policy: Policy,
        admission: Admission,
        opening: Opening,
        rates: Rates,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._begin = begin
        self._policy = policy
        self._admission = admission
        self._opening = opening
        self._rates = rates
        self._rejections = QuotaRejections(begin, clock)
        self._clock = clock
        self._telemetry = telemetry

    async def send(self, who: Subject, command: SendCommand, trace: TraceContext) -> Conversation:
        """When this returns the user message is durable and the turn runs, or an ended turn is told again.

        Raises what Admission.admit and Opening.open raise, and RateLimited. A refused send counts for no rate and has
        left no trace but the event of the limit that was in its way. Of simultaneous sends into one chat one starts,
        the others learn that it has.
        """
        self._policy.require(who, Action.SEND_MESSAGE)
        return await self._answered(scope_for(who), command, trace)

    async def change(self, who: Subject, command: ChangeCommand, trace: TraceContext) -> Conversation:
        """As `send`, and the old turn goes when the new one comes: at once, or not at all.

        Of simultaneous changes of one turn one wins, the others learn that it is no longer the newest.
        """
        self._policy.require(who, _CHANGES[command.kind])
        return await self._answered(scope_for(who), command, trace)

    async def _answered(
        self, scope: AccessScope, call: SendCommand | ChangeCommand, trace: TraceContext
    ) -> Conversation:
        request_id = call.request_id or RequestId(uuid7(self._clock.now()))
        with self._telemetry.span(SpanName.SEND, trace) as span:
            async with self._rates.sending(scope) as permit:
                for _ in range(_PASSES):
                    attempted = await self._attempt(scope, call, request_id, span.trace, permit)
                    if isinstance(attempted, Conversation):
                        return attempted
                    call = attempted
        raise ServiceUnavailable

    async def _attempt(
        self,
        scope: AccessScope,
        call: SendCommand | ChangeCommand,
        request_id: RequestId,
        trace: TraceContext,
        permit: SendPermit,
    ) -> Conversation | SendCommand | ChangeCommand:
        """The call, to be tried again, when another one moved the chat between the reads and the write."""
        with self._telemetry.span(SpanName.GATES, trace):
            admitted = await self._admitted(scope, call, request_id, permit)
        if isinstance(admitted, StoredAnswer):
            self._telemetry.count(Counted.STREAM_REPLAY, source="database")
            return Conversation(
                chat_id=admitted.chat_id,
                request_id=request_id,
                reader=Recording(replayed(admitted)),
                is_new_turn=False,
            )
        with self._telemetry.span(SpanName.CREATE, trace):
            opened = await self._opening.open(scope, admitted, trace)
        if opened is None:
            return admitted.origin
        permit.keep()
        chat_id, reader = opened
        return Conversation(chat_id=chat_id, request_id=request_id, reader=reader, is_new_turn=True)

    async def _admitted(
        self, scope: AccessScope, call: SendCommand | ChangeCommand, request_id: RequestId, permit: SendPermit
    ) -> Admitted | StoredAnswer:
        """Counts a send when nothing else refuses it; yet of two refusals a limit's comes before the late ones."""
        try:
            admitted = await self._admission.admit(scope, call, request_id)
        except _REFUSED_AFTER_RATES as late:
            refusal: DomainError = late
        else:
            if isinstance(admitted, Admitted):
                await permit.take()
            return admitted
        await permit.require_room()
        await self._opening.require_room(scope)
        if isinstance(refusal, QuotaExceeded):
            await self._rejections.tell(scope, refusal, _chat_of(call), request_id)
        raise refusal

    async def outcome(self, who: Subject, conversation: Conversation, trace: TraceContext) -> UnaryAnswer:
        """Reads the turn to its end and returns what is stored.

        Raises TurnEnded when it did not complete, ChatNotFound when its chat has been deleted since, and
        RequestIdConflict when the turn itself has.
        A reader that leaves meanwhile is told `turn_cancelled`, whether its turn goes on or not.
        """
        terminal = await _terminal_of(conversation.reader)
        if not isinstance(terminal, Done):
            error = terminal or turn_error("turn_cancelled", trace.trace_id, retryable=False)
            raise TurnEnded(error, request_id=str(conversation.request_id), chat_id=str(conversation.chat_id))
        async with self._begin(scope_for(who), Access.READ) as tx:
            gate = await tx.turns.gate(conversation.chat_id, conversation.request_id)
            turn = gate.same_request if gate is not None else None
            answer = await tx.turns.answer(turn.id) if turn is not None else None
        if answer is None:
            raise ChatNotFound if turn is None else RequestIdConflict(PUBLIC_STATES[turn.state])
        return UnaryAnswer(answer=answer, is_new_turn=conversation.is_new_turn, quota_warnings=terminal.quota_warnings)


def _chat_of(call: SendCommand | ChangeCommand) -> ChatId | None:
    """None where the call would have made one."""
    if isinstance(call, ChangeCommand):
        return call.chat_id
    return None if isinstance(call.target, ChatDraft) else call.target


async def _terminal_of(reader: Reader) -> Done | TurnError | None:
    while not reader.ended:
        for _, event in await reader.receive():
            if isinstance(event, Done | TurnError):
                return event
    return None

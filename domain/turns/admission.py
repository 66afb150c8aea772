"""Everything that may refuse a send or a change, in its documented order (api.md 3.4, 3.5). Reads only."""

import msgspec
from msgspec.structs import replace

from domain.catalogue.models import Estimation
from domain.catalogue.ports import Catalogue
from domain.catalogue.resolver import Candidate, candidates_for_send
from domain.chats.models import NewChat
from domain.chats.service import ChatDraft
from domain.context.assembler import Plan
from domain.context.history import NO_HISTORY, History
from domain.errors import (
    ChatNotFound,
    Fault,
    GenerationInProgress,
    InvalidAttachment,
    InvalidModel,
    RequestIdConflict,
    RequestIdReused,
)
from domain.ids import ChatId, RequestId, TurnId
from domain.jobs.payloads import SummariseThread
from domain.quotas.models import Standing
from domain.scope import AccessScope
from domain.streaming.supervisor import TurnSupervisor
from domain.summaries.trigger import SummaryRules, summary_target
from domain.switches.models import Wants
from domain.turns.models import PUBLIC_STATES, Gate, SendCommand, StoredAnswer, TurnState, TurnSummary
from domain.turns.mutations import ChangeCommand, changeable
from domain.turns.planning import Choice, Planned, Planning
from domain.turns.ports import TurnTx
from domain.turns.switch_gate import SwitchGate
from domain.unit_of_work import Access, UnitOfWork


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A question that nothing refuses, and its place: a chat as it was seen, or one that comes into being with it.

    `origin` is the call that asks it; `replaces` is the turn that goes when the new one comes, `summary_due` what to
    summarise once the question is answered.
    """

    command: SendCommand
    origin: SendCommand | ChangeCommand
    request_id: RequestId
    place: Gate | NewChat
    planned: Planned
    replaces: TurnId | None = None
    summary_due: SummariseThread | None = None


class Admission:
    def __init__(
        self,
        begin: UnitOfWork[TurnTx],
        catalogue: Catalogue,
        switches: SwitchGate,
        supervisor: TurnSupervisor,
        planning: Planning,
        budgets: Estimation,
        recent_turns: int,
        summaries: SummaryRules,
    ) -> None:
        self._begin = begin
        self._catalogue = catalogue
        self._switches = switches
        self._supervisor = supervisor
        self._planning = planning
        self._budgets = budgets
        self._recent_turns = recent_turns
        self._summaries = summaries

    async def admit(
        self, scope: AccessScope, call: SendCommand | ChangeCommand, request_id: RequestId
    ) -> Admitted | StoredAnswer:
        """An answer already stored under this key, else leave to write. A refusal has written nothing.

        Raises ChatNotFound, RequestIdConflict, RequestIdReused; for a change TurnNotFound, InvalidTurnState,
        NotLatestTurn; GenerationInProgress, InvalidAttachment, GenerationDisabled, WebSearchDisabled, InvalidModel,
        QuotaExceeded, InputTooLong, ContextBudgetExceeded, ProviderUnavailable, ServiceUnavailable.
        """
        if isinstance(call, ChangeCommand):
            return await self._admit_change(scope, call, request_id)
        return await self._admit_send(scope, call, request_id)

    async def _admit_send(
        self, scope: AccessScope, command: SendCommand, request_id: RequestId
    ) -> Admitted | StoredAnswer:
        async with self._begin(scope, Access.READ) as tx:
            chat_id = command.target
            if isinstance(chat_id, ChatDraft):
                founding = await tx.turns.founding(request_id)
                if founding.created is None:
                    return self._admit_new_chat(scope, command, chat_id, request_id, founding.standing)
                # A repeated creating send goes to the chat that the first one made.
                chat_id = founding.created.chat_id
            gate = await tx.turns.gate(chat_id, request_id)
            if gate is None:
                raise ChatNotFound
            if gate.same_request is not None:
                return await self._answer_to(tx, gate.same_request, command)
            choice = self._choice(scope, command, gate)
            history = await self._history(tx, chat_id, choice.candidates)
        admitted = self._admitted(command, request_id, gate, gate.standing, choice, history)
        return replace(admitted, summary_due=self._summary_due(scope, gate.chat_id, history, admitted.planned.plan))

    async def _admit_change(
        self, scope: AccessScope, change: ChangeCommand, request_id: RequestId
    ) -> Admitted | StoredAnswer:
        async with self._begin(scope, Access.READ) as tx:
            gate = await tx.turns.gate(change.chat_id, request_id)
            if gate is None:
                raise ChatNotFound
            if gate.same_request is not None:
                return await self._answer_to(tx, gate.same_request, change)
            target = changeable(await tx.changes.aim(change.chat_id, change.aim))
            command = change.question(target)
            choice = self._choice(scope, command, gate)
            history = await self._history(tx, change.chat_id, choice.candidates, without=target.turn_id)
        admitted = self._admitted(command, request_id, gate, gate.standing, choice, history)
        return replace(
            admitted,
            origin=replace(change, seen=target.request_id),
            replaces=target.turn_id,
            summary_due=self._summary_due(scope, gate.chat_id, history, admitted.planned.plan),
        )

    def _admit_new_chat(
        self, scope: AccessScope, command: SendCommand, draft: ChatDraft, request_id: RequestId, standing: Standing
    ) -> Admitted:
        _refuse_attachments(command)
        self._switches.refuse(scope.tenant_id, _wants(command))
        chat = draft.resolved(self._catalogue)
        self._supervisor.require_permit()
        return self._admitted(command, request_id, chat, standing, self._usable(chat.model), NO_HISTORY)

    def _choice(self, scope: AccessScope, command: SendCommand, gate: Gate) -> Choice:
        if gate.running_request_id is not None:
            raise GenerationInProgress(str(gate.running_request_id))
        _refuse_attachments(command)
        self._switches.refuse(scope.tenant_id, _wants(command))
        choice = self._usable(gate.model)
        self._supervisor.require_permit()
        return choice

    def _admitted(
        self,
        command: SendCommand,
        request_id: RequestId,
        place: Gate | NewChat,
        standing: Standing,
        choice: Choice,
        history: History,
    ) -> Admitted:
        return Admitted(
            command=command,
            origin=command,
            request_id=request_id,
            place=place,
            planned=self._planning.planned(command, place.model, standing, choice, history),
        )

    def _summary_due(self, scope: AccessScope, chat_id: ChatId, history: History, plan: Plan) -> SummariseThread | None:
        target_seq = summary_target(history, plan, self._summaries, self._recent_turns)
        if target_seq is None or self._switches.summaries_closed():
            return None
        return SummariseThread(
            tenant_id=scope.tenant_id,
            user_id=scope.user_id,
            chat_id=chat_id,
            covers_seq=history.recap.covers_seq if history.recap else 0,
            target_seq=target_seq,
        )

    def _usable(self, selected: str) -> Choice:
        candidates = candidates_for_send(self._catalogue.models(), selected, self._switches.premium_closed())
        if not candidates:
            raise InvalidModel
        return Choice(candidates=candidates, catalogue_version=self._catalogue.version)

    async def _answer_to(self, tx: TurnTx, turn: TurnSummary, call: SendCommand | ChangeCommand) -> StoredAnswer:
        if turn.is_deleted or turn.state is not TurnState.COMPLETED:
            raise RequestIdConflict(PUBLIC_STATES[turn.state])
        if turn.fingerprint != call.fingerprint():
            raise RequestIdReused
        answer = await tx.turns.answer(turn.id)
        if answer is None:
            raise RequestIdConflict(PUBLIC_STATES[turn.state])
        return answer

    async def _history(
        self, tx: TurnTx, chat_id: ChatId, candidates: tuple[Candidate, ...], without: TurnId | None = None
    ) -> History:
        if not self._recent_turns:
            return NO_HISTORY
        largest_bytes = max(
            each.model.max_input_tokens * each.model.estimation_budgets.over(self._budgets).bytes_per_token
            for each in candidates
        )
        return await tx.turns.history(chat_id, self._recent_turns, largest_bytes, without)


def _wants(command: SendCommand) -> Wants:
    return Wants(web_search=command.web_search)


def _refuse_attachments(command: SendCommand) -> None:
    """Nothing can be attached yet, so no chat has any of these."""
    faults = tuple(
        Fault(field=f"attachment_ids[{index}]", message="There is no such attachment in this chat.", code="not_found")
        for index in range(len(command.attachment_ids))
    )
    if faults:
        raise InvalidAttachment(faults=faults)

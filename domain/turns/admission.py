"""Everything that may refuse a send or a change, in its documented order (api.md 3.4, 3.5). Reads only."""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from domain.catalogue.models import MOST_TOKENS, Estimation, ModelSpec
from domain.catalogue.ports import Catalogue
from domain.catalogue.resolver import Candidate, Resolution, candidates_for_send, resolved
from domain.chats.models import NewChat
from domain.chats.service import ChatDraft
from domain.context.assembler import PLAN_REFUSALS, Plan, PlanRefused, assemble
from domain.errors import (
    ChatNotFound,
    Fault,
    GenerationInProgress,
    InvalidAttachment,
    InvalidModel,
    QuotaExceeded,
    RequestIdConflict,
    RequestIdReused,
)
from domain.ids import ChatId, RequestId, TurnId
from domain.quotas.cascade import first_admitted
from domain.quotas.models import Claim, Hold, QuotaRules, Standing
from domain.quotas.reservation import hold_for
from domain.scope import AccessScope
from domain.streaming.supervisor import TurnSupervisor
from domain.switches.models import Wants
from domain.telemetry.ports import Counted, Telemetry
from domain.turns.models import PUBLIC_STATES, Exchange, Gate, SendCommand, StoredAnswer, TurnState, TurnSummary
from domain.turns.mutations import ChangeCommand, changeable
from domain.turns.ports import TurnTx
from domain.turns.switch_gate import SwitchGate
from domain.unit_of_work import Access, UnitOfWork


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A question that nothing refuses, and its place: a chat as it was seen, or one that comes into being with it.

    `origin` is the call that asks it; `replaces` is the turn that goes when the new one comes.
    """

    command: SendCommand
    origin: SendCommand | ChangeCommand
    request_id: RequestId
    place: Gate | NewChat
    resolution: Resolution
    plan: Plan
    claim: Claim
    replaces: TurnId | None = None


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The models that may answer, and the version of the catalogue that they are of."""

    candidates: tuple[Candidate, ...]
    catalogue_version: int


class Admission:
    def __init__(
        self,
        begin: UnitOfWork[TurnTx],
        catalogue: Catalogue,
        switches: SwitchGate,
        supervisor: TurnSupervisor,
        budgets: Estimation,
        recent_turns: int,
        rules: QuotaRules,
        telemetry: Telemetry,
    ) -> None:
        self._begin = begin
        self._catalogue = catalogue
        self._switches = switches
        self._supervisor = supervisor
        self._budgets = budgets
        self._recent_turns = recent_turns
        self._rules = rules
        self._telemetry = telemetry

    async def admit(
        self, scope: AccessScope, call: SendCommand | ChangeCommand, request_id: RequestId
    ) -> Admitted | StoredAnswer:
        """An answer already stored under this key, else leave to write. A refusal has written nothing.

        Raises ChatNotFound, RequestIdConflict, RequestIdReused; for a change TurnNotFound, InvalidTurnState,
        NotLatestTurn; GenerationInProgress, InvalidAttachment, GenerationDisabled, WebSearchDisabled, InvalidModel,
        QuotaExceeded, InputTooLong, ContextBudgetExceeded, ServiceUnavailable.
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
        return self._admitted(command, request_id, gate, gate.standing, choice, history)

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
        return replace(admitted, origin=replace(change, seen=target.request_id), replaces=target.turn_id)

    def _admit_new_chat(
        self, scope: AccessScope, command: SendCommand, draft: ChatDraft, request_id: RequestId, standing: Standing
    ) -> Admitted:
        _refuse_attachments(command)
        self._switches.refuse(scope.tenant_id, _wants(command))
        chat = draft.resolved(self._catalogue)
        self._supervisor.require_permit()
        return self._admitted(command, request_id, chat, standing, self._usable(chat.model), ())

    def _choice(self, scope: AccessScope, command: SendCommand, gate: Gate) -> _Choice:
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
        choice: _Choice,
        history: Sequence[Exchange],
    ) -> Admitted:
        """The first candidate that the counters admit; too long a question for it is refused only then."""
        version = choice.catalogue_version
        offers = (self._offer(each, history, command.content, standing, version) for each in choice.candidates)
        try:
            (candidate, plan), hold = first_admitted(offers, standing, self._rules)
        except QuotaExceeded:
            self._count("reject", choice.candidates[0].model)
            raise
        resolution = resolved(candidate, place.model)
        self._count(resolution.decision, resolution.effective)
        if resolution.downgrade_reason is not None:
            names = {"from": resolution.selected_model, "to": resolution.effective.id}
            self._telemetry.count(Counted.QUOTA_TIER_DOWNGRADE, reason=resolution.downgrade_reason, **names)
        if not isinstance(plan, Plan):
            raise plan
        return Admitted(
            command=command,
            origin=command,
            request_id=request_id,
            place=place,
            resolution=resolution,
            plan=plan,
            claim=Claim(hold=hold, limits=standing.limits, deployment=self._rules.defaults),
        )

    def _count(self, decision: str, model: ModelSpec) -> None:
        self._telemetry.count(Counted.QUOTA_PREFLIGHT, decision=decision, model=model.id, tier=model.tier.value)

    def _offer(
        self, candidate: Candidate, history: Sequence[Exchange], content: str, standing: Standing, version: int
    ) -> tuple[tuple[Candidate, Plan | PlanRefused], Hold]:
        budgets = candidate.model.estimation_budgets.over(self._budgets)
        plan: Plan | PlanRefused
        try:
            plan = assemble(candidate.model, budgets, history, content)
        except PLAN_REFUSALS as refused:
            plan = refused
        # What is refused for its length has no bound of its own.
        estimated_tokens = min(plan.estimated_tokens, MOST_TOKENS)
        hold = hold_for(candidate.model, estimated_tokens, budgets.generation_floor, standing, version)
        return (candidate, plan), hold

    def _usable(self, selected: str) -> _Choice:
        candidates = candidates_for_send(self._catalogue.models(), selected, self._switches.premium_closed())
        if not candidates:
            raise InvalidModel
        return _Choice(candidates=candidates, catalogue_version=self._catalogue.version)

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
    ) -> Sequence[Exchange]:
        if not self._recent_turns:
            return ()
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

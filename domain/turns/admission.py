"""Everything that may refuse a send or a change, in its documented order (api.md 3.4, 3.5). Reads only."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from domain.catalogue.models import MOST_TOKENS, Estimation, ModelSpec
from domain.catalogue.ports import Catalogue
from domain.catalogue.resolver import Candidate, Resolution, candidates_for_send, resolved
from domain.chats.models import NewChat
from domain.chats.service import ChatDraft
from domain.context.assembler import PLAN_REFUSALS, Plan, PlanRefused, assemble
from domain.context.fencing import fenced, new_nonce
from domain.context.history import NO_HISTORY, History
from domain.errors import (
    ChatNotFound,
    Fault,
    GenerationInProgress,
    InvalidAttachment,
    InvalidModel,
    ProviderUnavailable,
    QuotaExceeded,
    RequestIdConflict,
    RequestIdReused,
)
from domain.ids import ChatId, RequestId, TurnId
from domain.jobs.payloads import SummariseThread
from domain.providers.ports import Providers
from domain.quotas.cascade import first_admitted
from domain.quotas.models import Claim, Hold, QuotaRules, Standing
from domain.quotas.periods import periods_at
from domain.quotas.reservation import hold_for
from domain.scope import AccessScope
from domain.streaming.supervisor import TurnSupervisor
from domain.summaries.trigger import SummaryRules, summary_target
from domain.switches.models import Tool, Wants
from domain.telemetry.ports import Counted, Telemetry
from domain.tools.offered import ToolSet
from domain.turns.models import PUBLIC_STATES, Gate, SendCommand, StoredAnswer, TurnState, TurnSummary
from domain.turns.mutations import ChangeCommand, changeable
from domain.turns.ports import TurnTx
from domain.turns.spare import Spare, covering, spare_model
from domain.turns.switch_gate import SwitchGate
from domain.turns.tool_offers import ToolOffers
from domain.unit_of_work import Access, UnitOfWork

_NO_SEARCH_LEFT: Final = "The web searches of today are used up."


class Admitted(msgspec.Struct, frozen=True, kw_only=True):
    """A question that nothing refuses, and its place: a chat as it was seen, or one that comes into being with it.

    `origin` is the call that asks it; `replaces` is the turn that goes when the new one comes. `recap_tokens` is the
    size of the summary in the plan, if there is one, `summary_due` what to summarise once the question is answered.
    `spare` answers should the effective model not take the call.
    """

    command: SendCommand
    origin: SendCommand | ChangeCommand
    request_id: RequestId
    place: Gate | NewChat
    resolution: Resolution
    plan: Plan
    tools: ToolSet
    claim: Claim
    replaces: TurnId | None = None
    recap_tokens: int | None = None
    summary_due: SummariseThread | None = None
    spare: Spare | None = None


_Planned: TypeAlias = tuple[Candidate, Plan | PlanRefused, ToolSet]
_Offer: TypeAlias = tuple[_Planned, Hold]


class _Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The models that may answer, and the version of the catalogue that they are of."""

    candidates: tuple[Candidate, ...]
    catalogue_version: int


class Admission:
    def __init__(
        self,
        begin: UnitOfWork[TurnTx],
        catalogue: Catalogue,
        providers: Providers,
        switches: SwitchGate,
        tools: ToolOffers,
        supervisor: TurnSupervisor,
        budgets: Estimation,
        recent_turns: int,
        summaries: SummaryRules,
        rules: QuotaRules,
        telemetry: Telemetry,
    ) -> None:
        self._begin = begin
        self._catalogue = catalogue
        self._providers = providers
        self._switches = switches
        self._tools = tools
        self._supervisor = supervisor
        self._budgets = budgets
        self._recent_turns = recent_turns
        self._summaries = summaries
        self._rules = rules
        self._telemetry = telemetry

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
        return replace(admitted, summary_due=self._summary_due(scope, gate.chat_id, history, admitted.plan))

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
            summary_due=self._summary_due(scope, gate.chat_id, history, admitted.plan),
        )

    def _admit_new_chat(
        self, scope: AccessScope, command: SendCommand, draft: ChatDraft, request_id: RequestId, standing: Standing
    ) -> Admitted:
        _refuse_attachments(command)
        self._switches.refuse(scope.tenant_id, _wants(command))
        chat = draft.resolved(self._catalogue)
        self._supervisor.require_permit()
        return self._admitted(command, request_id, chat, standing, self._usable(chat.model), NO_HISTORY)

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
        history: History,
    ) -> Admitted:
        """The first candidate that the counters admit; too long a question for it is refused only then."""
        version = choice.catalogue_version
        nonce = new_nonce()

        def offer(candidate: Candidate) -> _Offer:
            return self._offer(candidate, history, nonce, command, standing, version)

        try:
            ((candidate, plan, tools), spare), hold = first_admitted(
                self._offers(choice.candidates, offer), standing, self._rules
            )
            self._refuse_exhausted(tools, standing)
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
        self._require_reachable(resolution.effective, spare)
        self._count_truncation(history, plan)
        return Admitted(
            command=command,
            origin=command,
            request_id=request_id,
            place=place,
            resolution=resolution,
            plan=plan,
            tools=tools,
            claim=Claim(hold=hold, limits=standing.limits, deployment=self._rules.defaults, tools=self._rules.tools),
            recap_tokens=history.recap.token_estimate if history.recap and plan.has_recap else None,
            spare=spare,
        )

    def _offers(
        self, candidates: tuple[Candidate, ...], offer: Callable[[Candidate], _Offer]
    ) -> Iterator[tuple[tuple[_Planned, Spare | None], Hold]]:
        """Each with its fallback; then without, for a turn is not refused for what it may never need."""
        for candidate in candidates:
            planned, hold = offer(candidate)
            model = spare_model(self._catalogue.models(), candidate.model)
            if model is not None:
                (_, plan, tools), other = offer(replace(candidate, model=model))
                if isinstance(plan, Plan):
                    spare = Spare(
                        model=model,
                        plan=plan,
                        tools=tools,
                        hold=covering(other, hold),
                        is_offered=self._asking_for(model),
                    )
                    yield (planned, spare), covering(hold, other)
            yield (planned, None), hold

    def _asking_for(self, model: ModelSpec) -> Callable[[], bool]:
        return lambda: any(each.id == model.id and each.enabled for each in self._catalogue.models())

    def _require_reachable(self, model: ModelSpec, spare: Spare | None) -> None:
        """Of two that take no calls now, the first to take them again tells when."""
        models = (model,) if spare is None else (model, spare.model)
        waits = [wait for each in models if (wait := self._providers.closed_for(each.provider_id)) is not None]
        if len(waits) == len(models):
            raise ProviderUnavailable(retry_after=min(waits))

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

    def _count_truncation(self, history: History, plan: Plan) -> None:
        if plan.turns_dropped or history.left_out_seq is not None:
            self._telemetry.count(Counted.CONTEXT_TRUNCATION, what="turns")
        if history.recap is not None and not plan.has_recap:
            self._telemetry.count(Counted.CONTEXT_TRUNCATION, what="summary")

    def _count(self, decision: str, model: ModelSpec) -> None:
        self._telemetry.count(Counted.QUOTA_PREFLIGHT, decision=decision, model=model.id, tier=model.tier.value)

    def _refuse_exhausted(self, tools: ToolSet, standing: Standing) -> None:
        """A search that was asked for is not left out in silence; other tools are."""
        for tool in tools.exhausted:
            self._telemetry.count(Counted.TOOL_CALL_LIMITED, tool=tool.value)
        if Tool.WEB_SEARCH in tools.exhausted:
            today, _ = periods_at(standing.now)
            raise QuotaExceeded(Tool.WEB_SEARCH, today.next_reset - standing.now, _NO_SEARCH_LEFT)

    def _offer(
        self, candidate: Candidate, history: History, nonce: str, command: SendCommand, standing: Standing, version: int
    ) -> _Offer:
        budgets = candidate.model.estimation_budgets.over(self._budgets)
        carried = self._providers.for_provider(candidate.model.provider_id).capabilities
        tools = self._tools.of(candidate.model, carried, standing.tool_calls, web_search=command.web_search)
        texts = self._tools.texts(tools, budgets)
        recap = fenced(history.recap.text, nonce) if history.recap else None
        plan: Plan | PlanRefused
        try:
            plan = assemble(candidate.model, budgets, history.exchanges, command.content, texts, recap, carried)
        except PLAN_REFUSALS as refused:
            plan = refused
        # What is refused for its length has no bound of its own.
        estimated_tokens = min(plan.estimated_tokens, MOST_TOKENS)
        hold = hold_for(candidate.model, estimated_tokens, budgets.generation_floor, standing, version, tools.held)
        return (candidate, plan, tools), hold

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

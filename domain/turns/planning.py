"""Which model answers a question, with what prompt, tools and credits. Nothing is read or written here."""

from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from domain.catalogue.models import MOST_TOKENS, Estimation, ModelSpec
from domain.catalogue.ports import Catalogue
from domain.catalogue.resolver import Candidate, Resolution, resolved
from domain.context.assembler import PLAN_REFUSALS, Plan, PlanRefused, assemble
from domain.context.fencing import fenced, new_nonce
from domain.context.history import History
from domain.errors import ProviderUnavailable, QuotaExceeded
from domain.providers.ports import Providers
from domain.quotas.cascade import first_admitted
from domain.quotas.models import Claim, Hold, QuotaRules, Standing
from domain.quotas.periods import periods_at
from domain.quotas.reservation import hold_for
from domain.switches.models import Tool
from domain.telemetry.ports import Counted, Telemetry
from domain.tools.offered import ToolSet
from domain.turns.models import SendCommand
from domain.turns.spare import Spare, covering, spare_model
from domain.turns.tool_offers import ToolOffers

_NO_SEARCH_LEFT: Final = "The web searches of today are used up."

_Planned: TypeAlias = tuple[Candidate, Plan | PlanRefused, ToolSet]
_Offer: TypeAlias = tuple[_Planned, Hold]


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The models that may answer, and the version of the catalogue that they are of."""

    candidates: tuple[Candidate, ...]
    catalogue_version: int


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """How a question will be answered.

    `recap_tokens` is the size of the summary in the plan, if there is one; `spare` answers should the effective model
    not take the call.
    """

    resolution: Resolution
    plan: Plan
    tools: ToolSet
    claim: Claim
    recap_tokens: int | None = None
    spare: Spare | None = None


class Planning:
    def __init__(
        self,
        catalogue: Catalogue,
        providers: Providers,
        tools: ToolOffers,
        budgets: Estimation,
        rules: QuotaRules,
        telemetry: Telemetry,
    ) -> None:
        self._catalogue = catalogue
        self._providers = providers
        self._tools = tools
        self._budgets = budgets
        self._rules = rules
        self._telemetry = telemetry

    def planned(
        self, command: SendCommand, selected: str, standing: Standing, choice: Choice, history: History
    ) -> Planned:
        """By the first candidate that the counters admit; too long a question for it is refused only then.

        Raises QuotaExceeded, then InputTooLong or ContextBudgetExceeded, then ProviderUnavailable.
        """
        (candidate, plan, tools), spare, hold = self._chosen(command, standing, choice, history)
        resolution = resolved(candidate, selected)
        self._count_decision(resolution)
        if not isinstance(plan, Plan):
            raise plan
        self._require_reachable(resolution.effective, spare)
        self._count_truncation(history, plan)
        return Planned(
            resolution=resolution,
            plan=plan,
            tools=tools,
            claim=Claim(hold=hold, limits=standing.limits, deployment=self._rules.defaults, tools=self._rules.tools),
            recap_tokens=history.recap.token_estimate if history.recap and plan.has_recap else None,
            spare=spare,
        )

    def _chosen(
        self, command: SendCommand, standing: Standing, choice: Choice, history: History
    ) -> tuple[_Planned, Spare | None, Hold]:
        nonce, version = new_nonce(), choice.catalogue_version

        def offer(candidate: Candidate) -> _Offer:
            return self._offer(candidate, history, nonce, command, standing, version)

        try:
            (planned, spare), hold = first_admitted(self._offers(choice.candidates, offer), standing, self._rules)
            _, _, tools = planned
            self._refuse_exhausted(tools, standing)
        except QuotaExceeded:
            self._count("reject", choice.candidates[0].model)
            raise
        return planned, spare, hold

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

    def _count_truncation(self, history: History, plan: Plan) -> None:
        if plan.turns_dropped or history.left_out_seq is not None:
            self._telemetry.count(Counted.CONTEXT_TRUNCATION, what="turns")
        if history.recap is not None and not plan.has_recap:
            self._telemetry.count(Counted.CONTEXT_TRUNCATION, what="summary")

    def _count_decision(self, resolution: Resolution) -> None:
        self._count(resolution.decision, resolution.effective)
        if resolution.downgrade_reason is not None:
            names = {"from": resolution.selected_model, "to": resolution.effective.id}
            self._telemetry.count(Counted.QUOTA_TIER_DOWNGRADE, reason=resolution.downgrade_reason, **names)

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

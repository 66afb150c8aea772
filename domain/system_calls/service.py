"""Asks a model on the system's own account.

charge the estimate ─▶ commit ─▶ call, no connection held ─▶ settle, together with what the caller stores

Whatever is killed in between leaves the estimate charged: the tenant's books may be too high by one call, never too
low. The day's limit holds for estimates, so it is passed by no more than the tolerance of the calls under way.
"""

from domain.catalogue.models import Estimation, ModelSpec
from domain.clock import Clock
from domain.ids import TenantId, uuid7
from domain.providers.collecting import ProviderResult, complete
from domain.providers.errors import ProviderFailure
from domain.providers.ports import Providers
from domain.providers.pseudonyms import Pseudonymiser
from domain.providers.request import ProviderRequest
from domain.scope import AccessScope
from domain.system_calls.choosing import SystemModels
from domain.system_calls.models import (
    PURPOSES,
    RefusedFor,
    SystemAnswer,
    SystemCall,
    SystemCallFailed,
    SystemCallRefused,
    SystemOrder,
    SystemTask,
)
from domain.system_calls.ports import SystemCallTx
from domain.system_calls.pricing import call_of, estimate_of, settled_call
from domain.system_calls.usage_event import usage_event
from domain.telemetry.correlation import current_trace
from domain.telemetry.ports import Counted, SpanName, Telemetry
from domain.unit_of_work import UnitOfWork


class SystemCalls:
    """`daily_limit_micro` is what a tenant may spend so in a day of UTC; 0 admits nothing."""

    def __init__(
        self,
        begin: UnitOfWork[SystemCallTx],
        models: SystemModels,
        providers: Providers,
        budgets: Estimation,
        daily_limit_micro: int,
        tolerance_pct: int,
        pseudonymiser: Pseudonymiser,
        clock: Clock,
        telemetry: Telemetry,
    ) -> None:
        self._models = models
        self._begin = begin
        self._providers = providers
        self._budgets = budgets
        self._daily_limit_micro = daily_limit_micro
        self._tolerance_pct = tolerance_pct
        self._pseudonymiser = pseudonymiser
        self._clock = clock
        self._telemetry = telemetry

    def model_for(self, tenant_id: TenantId, task: SystemTask, chat_model: str) -> ModelSpec:
        """What an order about a chat with this model should name. Raises SystemCallRefused, ServiceUnavailable."""
        try:
            return self._models.choose(tenant_id, task, chat_model)
        except SystemCallRefused as refusal:
            self._count(task, refusal.reason)
            raise

    async def ask(self, scope: AccessScope, order: SystemOrder) -> SystemAnswer:
        """The whole answer, which is still to be settled.

        Raises SystemCallRefused where the day's credits are used up, SystemCallFailed, ServiceUnavailable.
        """
        call = await self._charged(scope, order)
        result = await self._said(scope, order, call)
        settled = settled_call(call, result, order.model, self._budgets, self._tolerance_pct)
        event = usage_event(scope.tenant_id, settled, self._clock.now())
        if isinstance(result.end, ProviderFailure):
            async with self._begin(scope) as tx:
                await tx.events.add(event)
                await tx.system_credits.correct(settled)
            self._count(order.task, "failed")
            raise SystemCallFailed(result.end)
        self._count(order.task, "answered")
        return SystemAnswer(text=result.text, finish=result.end, settled=settled, event=event)

    async def _charged(self, scope: AccessScope, order: SystemOrder) -> SystemCall:
        estimate = estimate_of(order, uuid7(self._clock.now()), self._models.version, self._budgets)
        async with self._begin(scope) as tx:
            day = await tx.system_credits.charge(estimate, self._daily_limit_micro)
        if day is None:
            self._count(order.task, RefusedFor.EXHAUSTED)
            raise SystemCallRefused(RefusedFor.EXHAUSTED)
        return call_of(estimate, order.model, day, self._budgets)

    async def _said(self, scope: AccessScope, order: SystemOrder, call: SystemCall) -> ProviderResult:
        model = order.model
        span = self._telemetry.span(
            SpanName.PROVIDER,
            current_trace(),
            gen_ai__operation__name="chat",
            gen_ai__provider__name=model.provider_id,
            gen_ai__request__model=model.id,
            gen_ai__request__max_tokens=call.hold.max_output_tokens,
        )
        with span as entered:
            request = ProviderRequest(
                purpose=PURPOSES[order.task],
                model=model.provider_model_id,
                catalog_model=model.id,
                instructions=order.instructions,
                items=order.items,
                max_output_tokens=call.hold.max_output_tokens,
                params=model.api_params,
                deadlines=model.deadlines,
                pseudonyms=self._pseudonymiser.of(scope, order.chat_id),
                traceparent=entered.trace.traceparent(),
            )
            return await complete(self._providers.for_provider(model.provider_id), request, order.deadline)

    def _count(self, task: SystemTask, result: str) -> None:
        self._telemetry.count(Counted.SYSTEM_CALLS, task=task.value, result=result)

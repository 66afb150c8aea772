"""What a system call may cost, and what it has cost (engine.md 4.1, 4.3, 4.6, 4.7). Pure."""

from datetime import date
from typing import Final
from uuid import UUID

from domain.catalogue.models import Estimation, ModelSpec
from domain.context.token_estimator import estimate_prompt_tokens
from domain.context.usage import resolve_usage
from domain.providers.collecting import ProviderResult
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Finish
from domain.quotas.credits import Prices, credits_micro
from domain.quotas.models import Hold
from domain.quotas.settlement import settle
from domain.system_calls.models import SettledCall, SystemCall, SystemOrder
from domain.system_calls.ports import SystemEstimate

_FREE_OF_CHARGE: Final = frozenset({FailureKind.CONTEXT_LENGTH})
"""What a provider answers before it has read the prompt."""


def estimate_of(order: SystemOrder, call_id: UUID, policy_version: int, budgets: Estimation) -> SystemEstimate:
    """Raises OutOfBounds for a text that no model takes."""
    model = order.model
    texts = (order.instructions, *(item.text for item in order.items))
    own = model.estimation_budgets.over(budgets)
    input_tokens = estimate_prompt_tokens(sum(len(text.encode()) for text in texts), own)
    output_tokens = min(order.max_output_tokens, model.max_output_tokens)
    return SystemEstimate(
        call_id=call_id,
        task=order.task,
        chat_id=order.chat_id,
        model=model.id,
        tier=model.tier,
        policy_version=policy_version,
        input_tokens=input_tokens,
        output_tokens=output_tokens,
        credits_micro=credits_micro(input_tokens, output_tokens, _prices(model)),
    )


def call_of(estimate: SystemEstimate, model: ModelSpec, day: date, budgets: Estimation) -> SystemCall:
    """The call whose estimate was charged to the bucket of `day`."""
    return SystemCall(
        id=estimate.call_id,
        task=estimate.task,
        chat_id=estimate.chat_id,
        model=model.id,
        provider_id=model.provider_id,
        hold=Hold(
            credits_micro=estimate.credits_micro,
            tier=model.tier,
            prices=_prices(model),
            estimated_input_tokens=estimate.input_tokens,
            max_output_tokens=estimate.output_tokens,
            generation_floor=model.estimation_budgets.over(budgets).generation_floor,
            day=day,
            month=day.replace(day=1),
            in_tenant_buckets=False,
            policy_version=estimate.policy_version,
        ),
    )


def settled_call(
    call: SystemCall, result: ProviderResult, model: ModelSpec, budgets: Estimation, tolerance_pct: int
) -> SettledCall:
    """As a turn is settled: what was reported counts, what was not is estimated, and no call costs nothing."""
    hold = call.hold
    is_free = isinstance(result.end, ProviderFailure) and result.end.kind in _FREE_OF_CHARGE
    usage = resolve_usage(
        result.usage,
        called=result.called and not is_free,
        prompt_estimate=hold.estimated_input_tokens,
        generated_bytes=result.generated_bytes,
        max_output_tokens=hold.max_output_tokens,
        budgets=model.estimation_budgets.over(budgets),
    )
    return SettledCall(
        call=call,
        usage=usage,
        settlement=settle(hold, usage.source, usage.input_tokens, usage.output_tokens, tolerance_pct),
        succeeded=isinstance(result.end, Finish),
    )


def _prices(model: ModelSpec) -> Prices:
    return Prices(
        input_multiplier_micro=model.input_tokens_credit_multiplier_micro,
        output_multiplier_micro=model.output_tokens_credit_multiplier_micro,
    )

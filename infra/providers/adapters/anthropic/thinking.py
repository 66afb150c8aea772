"""Whether and how much the model shall think before it answers."""

from collections.abc import Mapping
from typing import Final

from domain.providers.request import ProviderRequest
from infra.providers.settings import ProviderSettings, ThinkingMode

_LEAST_TOKENS: Final = 1_024


def thinking_members(settings: ProviderSettings, request: ProviderRequest) -> dict[str, object]:
    """Nothing for short answers such as titles, which thinking would use up."""
    mode = settings.thinking_mode
    if mode is ThinkingMode.OFF or request.max_output_tokens <= _LEAST_TOKENS:
        return {}
    shown = {} if settings.thinking_display is None else {"display": settings.thinking_display}
    if mode is ThinkingMode.BUDGET:
        budget = min(settings.thinking_budget_tokens, request.max_output_tokens - 1)
        return {"thinking": {"type": "enabled", "budget_tokens": budget, **shown}}
    return {"thinking": {"type": "adaptive", **shown}, **_effort(request.params)}


def _effort(params: Mapping[str, object]) -> dict[str, object]:
    return {"output_config": {"effort": params["reasoning_effort"]}} if "reasoning_effort" in params else {}

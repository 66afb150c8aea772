"""The other model that a turn may go over to, planned and paid for before it begins. Pure."""

from collections.abc import Callable

import msgspec
from msgspec.structs import replace

from domain.catalogue.models import ModelSpec
from domain.context.assembler import Plan
from domain.quotas.models import Hold
from domain.tools.offered import ToolSet


class Spare(msgspec.Struct, frozen=True, kw_only=True):
    """`hold` has the prices of this model, and covers an answer of either; `is_offered` is asked before the call."""

    model: ModelSpec
    plan: Plan
    tools: ToolSet
    hold: Hold
    is_offered: Callable[[], bool]


def spare_model(models: tuple[ModelSpec, ...], model: ModelSpec) -> ModelSpec | None:
    """The fallback of a model, where it may answer now."""
    if model.fallback_model is None:
        return None
    return next((each for each in models if each.id == model.fallback_model and each.enabled), None)


def covering(hold: Hold, other: Hold) -> Hold:
    """Enough for an answer of either model; the counters are the same, for both are of one tier."""
    return replace(
        hold,
        credits_micro=max(hold.credits_micro, other.credits_micro),
        tool_calls=hold.tool_calls.or_more(other.tool_calls),
    )

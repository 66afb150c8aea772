"""History and the new message, made into one prompt that fits the model (engine.md 6.1, 6.2). Pure."""

from collections.abc import Sequence
from typing import Final, Protocol, TypeAlias

import msgspec

from domain.catalogue.models import Estimation, ModelSpec
from domain.context.token_estimator import estimate_prompt_tokens
from domain.errors import ContextBudgetExceeded, InputTooLong
from domain.providers.request import AssistantText, Item, UserText

PlanRefused: TypeAlias = InputTooLong | ContextBudgetExceeded
PLAN_REFUSALS: Final = (InputTooLong, ContextBudgetExceeded)


class PastExchange(Protocol):
    @property
    def user_text(self) -> str: ...

    @property
    def assistant_text(self) -> str: ...


class ToolTexts(msgspec.Struct, frozen=True, kw_only=True):
    """What the tools that are really attached add to a prompt: rules for the model, and tokens besides any text."""

    guards: tuple[str, ...] = ()
    surcharge_tokens: int = 0


NO_TOOLS: Final = ToolTexts()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An assembled prompt with its estimate; the last item is the user's text, verbatim and alone."""

    instructions: str | None
    items: tuple[Item, ...]
    estimated_tokens: int


def assemble(
    model: ModelSpec,
    budgets: Estimation,
    history: Sequence[PastExchange],
    content: str,
    tools: ToolTexts = NO_TOOLS,
) -> Plan:
    """The newest whole exchanges that fit, oldest dropped first; `history` comes oldest first.

    Raises InputTooLong when the message alone is too long for the model, ContextBudgetExceeded when it does not
    fit together with the instructions and what the tools add. None of these is ever cut.
    """
    alone = estimate_prompt_tokens(_size_bytes(content), budgets)
    if alone > model.max_input_tokens:
        raise InputTooLong(max_input_tokens=model.max_input_tokens, estimated_tokens=alone)
    room = min(model.max_input_tokens, model.context_window - model.max_output_tokens)
    instructions = "\n\n".join(text for text in (model.system_prompt, *tools.guards) if text)
    mandatory_bytes = _size_bytes(instructions) + _size_bytes(content)
    estimate = estimate_prompt_tokens(mandatory_bytes, budgets) + tools.surcharge_tokens
    if estimate > room:
        raise ContextBudgetExceeded(max_input_tokens=room, estimated_tokens=estimate)
    kept, total_bytes = _newest_that_fit(history, mandatory_bytes, room - tools.surcharge_tokens, budgets)
    return Plan(
        instructions=instructions or None,
        items=(*_items(kept), UserText(content)),
        estimated_tokens=estimate_prompt_tokens(total_bytes, budgets) + tools.surcharge_tokens,
    )


def _newest_that_fit(
    history: Sequence[PastExchange], total_bytes: int, room: int, budgets: Estimation
) -> tuple[Sequence[PastExchange], int]:
    first = len(history)
    for exchange in reversed(history):
        grown_bytes = total_bytes + _size_bytes(exchange.user_text) + _size_bytes(exchange.assistant_text)
        if estimate_prompt_tokens(grown_bytes, budgets) > room:
            break
        first, total_bytes = first - 1, grown_bytes
    return history[first:], total_bytes


def _items(history: Sequence[PastExchange]) -> list[Item]:
    items: list[Item] = []
    for exchange in history:
        items.append(UserText(exchange.user_text))
        items.append(AssistantText(exchange.assistant_text))
    return items


def _size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())

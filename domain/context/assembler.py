"""History and the new message, made into one prompt that fits the model (engine.md 6.1, 6.2). Pure."""

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from domain.catalogue.models import Estimation, ModelSpec
from domain.context.fencing import Fenced
from domain.context.history import Exchange
from domain.context.room import Extent, Room, size_bytes
from domain.context.token_estimator import estimate_prompt_tokens
from domain.errors import ContextBudgetExceeded, InputTooLong
from domain.providers.capabilities import Capabilities
from domain.providers.request import AssistantText, ContextBlock, Item, UserText

PlanRefused: TypeAlias = InputTooLong | ContextBudgetExceeded
PLAN_REFUSALS: Final = (InputTooLong, ContextBudgetExceeded)
_BLANK_LINE: Final = "\n\n"


class ToolTexts(msgspec.Struct, frozen=True, kw_only=True):
    """What the tools that are really attached add to a prompt: rules for the model, and tokens besides any text."""

    guards: tuple[str, ...] = ()
    surcharge_tokens: int = 0


NO_TOOLS: Final = ToolTexts()
NO_BOUNDS: Final = Capabilities()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """An assembled prompt with its estimate; the last item is the user's text, verbatim and alone.

    `filled_pct` is how much of its room it takes, by the nearest bound. `turns_dropped` counts from the oldest of the
    history it was made of; `has_recap` if the recap stayed in it.
    """

    instructions: str | None
    items: tuple[Item, ...]
    estimated_tokens: int
    filled_pct: int
    turns_dropped: int
    has_recap: bool


def assemble(
    model: ModelSpec,
    budgets: Estimation,
    history: Sequence[Exchange],
    content: str,
    tools: ToolTexts = NO_TOOLS,
    recap: Fenced | None = None,
    carried: Capabilities = NO_BOUNDS,
) -> Plan:
    """The recap and the newest whole exchanges that fit; `history` comes oldest first.

    The oldest exchange goes first, then the next; the recap only when none is left, and what it has taken is then
    there for the newest ones. Raises InputTooLong when the message alone is too long for the model,
    ContextBudgetExceeded when it does not fit together with the instructions and what the tools add, or is more
    than the provider carries. None of these is ever cut.
    """
    alone = estimate_prompt_tokens(size_bytes(content), budgets)
    if alone > model.max_input_tokens:
        raise InputTooLong(max_input_tokens=model.max_input_tokens, estimated_tokens=alone)
    room = Room(tokens=_room_tokens(model), surcharge_tokens=tools.surcharge_tokens, budgets=budgets, carried=carried)
    if recap is not None:
        frame = _Frame.of(model, tools, content, recap)
        if frame.fits(room):
            return frame.filled(history, room)
    frame = _Frame.of(model, tools, content, None)
    if not frame.fits(room):
        raise ContextBudgetExceeded(max_input_tokens=room.tokens, estimated_tokens=room.estimate(frame.extent))
    return frame.filled(history, room)


def _room_tokens(model: ModelSpec) -> int:
    """What a prompt may take of the window, with the longest answer still in it."""
    return min(model.max_input_tokens, model.context_window - model.max_output_tokens)


class _Frame(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt without exchanges.

    `lead_chars` is what comes before the first question; some providers are sent one message with all of it.
    """

    instructions: str
    block: str | None
    content: str
    extent: Extent
    lead_chars: int

    @classmethod
    def of(cls, model: ModelSpec, tools: ToolTexts, content: str, recap: Fenced | None) -> "_Frame":
        rules = (*tools.guards, recap.rule if recap else "")
        instructions = _BLANK_LINE.join(text for text in (model.system_prompt, *rules) if text)
        lead = [text for text in (instructions, recap.text if recap else "") if text]
        said = (recap.text, content) if recap else (content,)
        return cls(
            instructions=instructions,
            block=recap.text if recap else None,
            content=content,
            extent=Extent(utf8_bytes=size_bytes(instructions), chars=len(instructions)).plus(*said),
            lead_chars=sum(len(text) + len(_BLANK_LINE) for text in lead),
        )

    def fits(self, room: Room) -> bool:
        return room.holds(self.extent) and self._opens_with(self.content, room)

    def filled(self, history: Sequence[Exchange], room: Room) -> Plan:
        first, kept = len(history), self.extent
        grown = self.extent
        for index in reversed(range(len(history))):
            exchange = history[index]
            grown = grown.plus(exchange.user_text, exchange.assistant_text)
            if not room.holds(grown):
                break
            if self._opens_with(exchange.user_text, room):
                first, kept = index, grown
        return Plan(
            instructions=self.instructions or None,
            items=(*self._block(), *_items(history[first:]), UserText(self.content)),
            estimated_tokens=room.estimate(kept),
            filled_pct=room.filled_pct(kept),
            turns_dropped=first,
            has_recap=self.block is not None,
        )

    def _opens_with(self, question: str, room: Room) -> bool:
        return room.holds_message(self.lead_chars + len(question))

    def _block(self) -> tuple[Item, ...]:
        return () if self.block is None else (ContextBlock(self.block),)


def _items(history: Sequence[Exchange]) -> list[Item]:
    items: list[Item] = []
    for exchange in history:
        items.append(UserText(exchange.user_text))
        items.append(AssistantText(exchange.assistant_text))
    return items

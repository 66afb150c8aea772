"""How much of a conversation one call can summarise (engine.md 6.3). Pure."""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import product

import msgspec

from domain.catalogue.models import Estimation, ModelSpec
from domain.context.room import Extent, Room
from domain.providers.capabilities import Capabilities
from domain.summaries.models import Material, SpokenTurn
from domain.summaries.wording import MOST_OUTPUT_TOKENS, Question, question, shortened

_LEAST_CHARS = 200


class Reach(msgspec.Struct, frozen=True, kw_only=True):
    """The oldest turns that one question has room for, and that question."""

    turns: Sequence[SpokenTurn]
    question: Question


class NoRoom(Exception):
    """Not even one turn fits, however much of it is cut off."""


def reach_of(
    material: Material,
    model: ModelSpec,
    budgets: Estimation,
    carried: Capabilities,
    prompt: str,
    message_chars: int,
    nonce: str,
) -> Reach:
    """As many turns as fit; of one that does not fit by itself less of each message, then less of the summary.

    Raises NoRoom.
    """
    room = Room(
        tokens=min(model.max_input_tokens, model.context_window - min(MOST_OUTPUT_TOKENS, model.max_output_tokens)),
        surcharge_tokens=0,
        budgets=budgets,
        carried=carried,
    )
    for recap_chars, chars in product(_ever_less(len(material.recap)), _ever_less(message_chars)):
        ask = partial(_question, material, prompt, shortened(material.recap, recap_chars), chars, nonce)
        count = _most_that_fit(ask, len(material.turns), room)
        if count:
            return Reach(turns=material.turns[:count], question=ask(count))
    raise NoRoom


def _ever_less(chars: int) -> Iterator[int]:
    yield chars
    while (chars := chars // 2) >= _LEAST_CHARS:
        yield chars


def _question(material: Material, prompt: str, recap: str, chars: int, nonce: str, count: int) -> Question:
    return question(prompt, recap, material.turns[:count], chars, nonce)


def _most_that_fit(ask: Callable[[int], Question], at_most: int, room: Room) -> int:
    return bisect_left(range(1, at_most + 1), x=True, key=lambda count: not _fits(ask(count), room))


def _fits(asked: Question, room: Room) -> bool:
    """Also where a provider makes one message of all of it."""
    whole = "\n\n".join((asked.instructions, *(item.text for item in asked.items)))
    return room.holds(Extent().plus(whole))

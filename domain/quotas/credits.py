"""What tokens cost (engine.md 4.1). Integers only: an amount is micro-credits, and a part of one is a whole one."""

from typing import Final

import msgspec

from domain.catalogue.models import MOST_TOKENS, PriceMicro
from domain.rounding import cdiv

CREDIT_MICRO: Final = 1_000_000
MOST_MULTIPLIER_MICRO: Final = 10_000_000_000


class OutOfBounds(ValueError):
    """Numbers that no model and no message has; never an answer to a caller."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """Micro-credits for a million tokens: 1 000 000 means one micro-credit for each."""

    input_multiplier_micro: PriceMicro
    output_multiplier_micro: PriceMicro


def credits_micro(input_tokens: int, output_tokens: int, prices: Prices) -> int:
    """Each part is rounded up on its own. Raises OutOfBounds."""
    return _part(input_tokens, prices.input_multiplier_micro) + _part(output_tokens, prices.output_multiplier_micro)


def _part(tokens: int, multiplier_micro: int) -> int:
    if not 0 <= tokens <= MOST_TOKENS or not 1 <= multiplier_micro <= MOST_MULTIPLIER_MICRO:
        raise OutOfBounds
    return cdiv(tokens * multiplier_micro, CREDIT_MICRO)

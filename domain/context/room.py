"""What a prompt may be at most: in tokens for the model, in messages and characters for its provider. Pure."""

import msgspec

from domain.catalogue.models import Estimation
from domain.context.token_estimator import estimate_prompt_tokens
from domain.providers.capabilities import Capabilities


class Extent(msgspec.Struct, frozen=True, kw_only=True):
    """How much of a prompt there is; `longest_chars` is that of its longest message."""

    utf8_bytes: int = 0
    messages: int = 0
    chars: int = 0
    longest_chars: int = 0

    def plus(self, *texts: str) -> "Extent":
        """With one more message for each text."""
        return Extent(
            utf8_bytes=self.utf8_bytes + sum(map(size_bytes, texts)),
            messages=self.messages + len(texts),
            chars=self.chars + sum(map(len, texts)),
            longest_chars=max(self.longest_chars, *map(len, texts)),
        )


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """`tokens` is what the answer leaves of the window; tools take `surcharge_tokens` of it."""

    tokens: int
    surcharge_tokens: int
    budgets: Estimation
    carried: Capabilities

    def estimate(self, extent: Extent) -> int:
        return estimate_prompt_tokens(extent.utf8_bytes, self.budgets) + self.surcharge_tokens

    def holds(self, extent: Extent) -> bool:
        carried = self.carried
        return (
            self.estimate(extent) <= self.tokens
            and _within(extent.messages, carried.max_messages)
            and _within(extent.chars, carried.max_total_chars)
            and _within(extent.longest_chars, carried.max_message_chars)
        )

    def filled_pct(self, extent: Extent) -> int:
        """By that of the bounds which is nearest."""
        bounds = (
            (self.estimate(extent), self.tokens),
            (extent.messages, self.carried.max_messages),
            (extent.chars, self.carried.max_total_chars),
        )
        return max(count * 100 // bound for count, bound in bounds if bound)

    def holds_message(self, chars: int) -> bool:
        return _within(chars, self.carried.max_message_chars)


def size_bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode())


def _within(count: int, bound: int | None) -> bool:
    return bound is None or count <= bound

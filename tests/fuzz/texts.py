"""Random query options: most by the grammar and with a slip, some long and deep beyond all bounds, some of noise."""

from collections.abc import Callable, Sequence
from random import Random
from typing import Final, TypeVar

from domain.filters import Field, Kind, ListShape

_WORDS: Final = ["and", "or", "not", "in", "eq", "ne", "gt", "ge", "lt", "le", "true", "false", "null", "asc", "desc"]
_FOREIGN: Final = ["add", "has", "AND", "like", "=", "secret", "tenant_id", "__class__", "a/b", "x/any(y:y", "$it", "*"]
_MARKS: Final = [
    "(",
    ")",
    ",",
    "'",
    "''",
    " ",
    "  ",
    "\t",
    "/",
    "-",
    "\u00a0",
    "\0",
    "\ud800",
    "\u212a",
    "\n",
    "%",
    "--",
]
_FUNCTIONS: Final = ["contains", "startswith", "endswith", "Contains", "EndsWith", "toupper"]
_LITERALS: Final[dict[Kind, list[str]]] = {
    Kind.STRING: ["''", "'x'", "'it''s'", "'% _'", "'\u00e9\u2713'", "'); drop table chats; --'"],
    Kind.UUID: ["0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01", "'0198C0DE-7a10-7c3e-9b1f-5d2a4e6f8a01'"],
    Kind.TIME: ["2026-03-01", "'2026-03-01T09:30:00Z'", "2026-03-01T09:30:00.123456789+05:45", "0001-01-01"],
    Kind.INTEGER: ["0", "-1", "+007", str(2**63 - 1), str(-(2**63))],
    Kind.BOOL: ["true", "false"],
}
_NO_LITERALS: Final = [
    "0198c0de", "2026-13-01", "0000-01-01", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "\u0665",
    "2026-03-01T24:00:00Z", str(2**63), "9" * 5000, "1.5", "1e9", "TRUE", "key", "now()", "'", "''x", "datetime'x'",
]  # fmt: skip

T = TypeVar("T")


class Texts:
    """All of one random source, so that its seed repeats them."""

    def __init__(self, random: Random, shape: ListShape) -> None:
        self._random = random
        self._shape = shape

    def filter(self) -> str:
        kinds: list[Callable[[], str]] = [self._expression, self._slipped, self._slipped, self._noise, self._monster]
        return self._random.choices(kinds, weights=(30, 30, 20, 10, 2))[0]()

    def order(self) -> str:
        directions = self._random.choices(["", " asc", " desc", " DESC"], k=self._random.choice((1, 2, 3, 12)))
        text = ",".join(self._name() + direction for direction in directions)
        return self.slip(text) if self._happens(0.5) else text

    def selection(self, members: Sequence[str]) -> str:
        names = self._random.choices([*members, "*", "", "secret"], k=self._random.choice((1, 2, 5, 120)))
        text = ",".join(names)
        return self.slip(text) if self._happens(0.5) else text

    def slip(self, text: str) -> str:
        """The same with one to three little things cut out, put in or doubled."""
        for _ in range(self._random.randint(1, 3)):
            start = self._random.randint(0, len(text))
            end = min(len(text), start + self._random.choice((0, 0, 1, 3)))
            text = text[:start] + self._one([*_MARKS, *_WORDS, *_FOREIGN, text[start:end] * 2, ""]) + text[end:]
        return text

    def _slipped(self) -> str:
        return self.slip(self._expression())

    def _noise(self) -> str:
        pieces = [*_WORDS, *_FOREIGN, *_MARKS, *_FUNCTIONS, *(field.name for field in self._shape.fields)]
        return self._one(["", " "]).join(self._random.choices(pieces, k=self._random.randint(0, 60)))

    def _monster(self) -> str:
        """Near the bounds, or far beyond them."""
        times = self._random.choice((60, 64, 65, 200, 680, 2048, 8192))
        part = self._one(
            ["(", "not ", "not(", "tolower(", "'", "''", "x'", " ", ",", "\u00e9", f"{self._condition()} or "]
        )
        return part * times + self._condition() + self._one(["", ")"]) * times

    def _expression(self, depth: int = 0) -> str:
        if depth > self._random.choice((0, 1, 2, 4)):
            return self._condition()
        terms = [self._expression(depth + 1) for _ in range(self._random.choice((1, 2, 2, 3)))]
        text = terms[0]
        for term in terms[1:]:
            text += self._one([" and ", " or "]) + term
        return self._one(["{}", "({})", "not ({})", "not {}", " ( {} )"]).format(text)

    def _condition(self) -> str:
        field = self._one(self._shape.fields)
        operand = f"tolower({field.name})" if self._suits(field.kind is Kind.STRING) else self._name(field)
        if self._suits(field.kind is Kind.STRING):
            return f"{self._one(_FUNCTIONS)}({operand},{self._literal(field)})"
        if self._happens(0.2):
            values = [self._literal(field) for _ in range(self._random.choices((1, 2, 3, 201), (30, 30, 30, 1))[0])]
            return f"{operand} in ({self._one([',', ' , ']).join(values)})"
        operators = ["eq", "ne"] if self._suits(field.kind is Kind.BOOL) else ["eq", "ne", "gt", "ge", "lt", "le"]
        return f"{operand} {self._one(operators)} {self._literal(field)}"

    def _suits(self, really: bool) -> bool:
        """Often when it really does, seldom when it does not."""
        return self._happens(0.5 if really else 0.01)

    def _name(self, field: Field | None = None) -> str:
        name = (field or self._one(self._shape.fields)).name
        return self._one([name.upper(), *_FOREIGN]) if self._happens(0.03) else name

    def _literal(self, field: Field) -> str:
        if self._happens(0.1 if field.nullable else 0.01):
            return "null"
        return self._one(_NO_LITERALS if self._happens(0.03) else _LITERALS[field.kind])

    def _happens(self, chance: float) -> bool:
        return self._random.random() < chance

    def _one(self, of: Sequence[T]) -> T:
        return self._random.choice(of)

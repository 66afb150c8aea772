"""`$filter` into the typed tree, by the grammar of api.md 2.2.

Nothing here calls itself: what is open stands on a list, so depth never costs stack.
"""

from typing import Final

import msgspec

from api.odata import faults
from api.odata.conditions import Conditions
from api.odata.lexer import END, Tokens, refuse_bad_text
from domain.errors import InvalidRequest
from domain.filters import And, Filter, ListShape, Not, Or

OPTION: Final = "$filter"
MAX_BYTES: Final = 8192
MAX_NODES: Final = 2000
MAX_LEVELS: Final = 64


def parsed_filter(text: str, shape: ListShape) -> Filter:
    """A chain of `and` or of `or` is one node; white space and needless parentheses leave no trace.

    Raises InvalidFilter, and InvalidRequest when a bound of api.md 2.1 is passed.
    """
    tokens = _tokens(text)
    conditions = Conditions(tokens, shape)
    levels = [_Level()]
    while True:
        _open(tokens, levels)
        levels[-1].add(conditions.read(), height=0)
        _close(tokens, levels)
        if tokens.here == END:
            return _whole(tokens, levels)
        _connect(tokens, levels[-1])


class _Level(msgspec.Struct):
    """What has been read since a parenthesis opened. `depth` counts what is open around it."""

    depth: int = 0
    negations: int = 0
    height: int = 0
    is_chain: bool = False
    terms: list[Filter] = msgspec.field(default_factory=list[Filter])
    alternatives: list[Filter] = msgspec.field(default_factory=list[Filter])

    def add(self, term: Filter, height: int) -> None:
        self.height = max(self.height, height + self.negations)
        for _ in range(self.negations):
            term = Not(term)
        self.negations = 0
        self.terms.append(term)

    def begin_alternative(self) -> None:
        self.is_chain |= len(self.terms) > 1
        self.alternatives.append(_chain(And, self.terms))
        self.terms = []

    def filter(self) -> Filter:
        """`height` is that of the whole then: how many nodes stand above its lowest condition, at most."""
        self.begin_alternative()
        self.height += self.is_chain + (len(self.alternatives) > 1)
        return _chain(Or, self.alternatives)


def _chain(kind: type[And | Or], terms: list[Filter]) -> Filter:
    return terms[0] if len(terms) == 1 else kind(tuple(terms))


def _tokens(text: str) -> Tokens:
    """Every word and every string is a node: fields, literals, operators, functions and connectives alike."""
    if len(text) > MAX_BYTES or len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise InvalidRequest.of(OPTION, f"This is longer than {MAX_BYTES} bytes.", "too_long")
    refuse_bad_text(OPTION, text)
    tokens = Tokens(text)
    if tokens.has_more_words_than(MAX_NODES):
        raise InvalidRequest.of(OPTION, f"This has more than {MAX_NODES} nodes.", "too_complex")
    if tokens.find_unreadable():
        raise faults.syntax(tokens, "Neither a word nor text in closed quotes")
    return tokens


def _open(tokens: Tokens, levels: list[_Level]) -> None:
    """Each `not` and each parenthesis is a level of nesting until its term is complete."""
    while tokens.here in {"not", "("}:
        level = levels[-1]
        depth = level.depth + level.negations + 1
        _refuse_nesting(tokens, depth)
        if tokens.take() == "not":
            level.negations += 1
        else:
            levels.append(_Level(depth=depth))


def _close(tokens: Tokens, levels: list[_Level]) -> None:
    while tokens.here == ")" and len(levels) > 1:
        level = levels.pop()
        inner = level.filter()
        _refuse_nesting(tokens, level.height)
        levels[-1].add(inner, level.height)
        tokens.take()


def _connect(tokens: Tokens, level: _Level) -> None:
    if tokens.here not in {"and", "or"}:
        raise faults.not_connected(tokens)
    if tokens.take() == "or":
        level.begin_alternative()


def _whole(tokens: Tokens, levels: list[_Level]) -> Filter:
    if len(levels) > 1:
        raise faults.syntax(tokens, "A parenthesis is not closed")
    whole = levels[0].filter()
    _refuse_nesting(tokens, levels[0].height)
    return whole


def _refuse_nesting(tokens: Tokens, levels: int) -> None:
    """Of what is open, and of the tree: who walks it may call itself once for each."""
    if levels > MAX_LEVELS:
        raise faults.too_complex(tokens, f"More than {MAX_LEVELS} levels of nesting")

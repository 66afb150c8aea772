"""Whether a filter is true of a row, by the words of api.md 2.2: true, false, or None for unknown."""

import operator
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from domain.filters import Among, And, Compare, Field, Filter, Match, Matches, Not, Operand, Operator, Or, Value

Row: TypeAlias = Callable[[Field], Value]
"""The value of a field."""

_COMPARISONS: Final[dict[Operator, Callable[[Any, Any], bool]]] = {
    Operator.GT: operator.gt,
    Operator.GE: operator.ge,
    Operator.LT: operator.lt,
    Operator.LE: operator.le,
}
_MATCHES: Final[dict[Match, Callable[[str, str], bool]]] = {
    Match.CONTAINS: str.__contains__,
    Match.STARTS: str.startswith,
    Match.ENDS: str.endswith,
}


def truth(term: Filter, row: Row) -> bool | None:
    match term:
        case Compare():
            return _compared(term, _seen(term.operand, row))
        case Among():
            return _seen(term.operand, row) in term.values
        case Matches():
            text = _seen(term.operand, row)
            return None if text is None else _MATCHES[term.match](str(text), term.text)
        case Not():
            inner = truth(term.term, row)
            return None if inner is None else not inner
        case And():
            return _all(truth(part, row) for part in term.terms)
        case Or():
            found = _all(_negated(truth(part, row)) for part in term.terms)
            return _negated(found)


def _compared(term: Compare, value: Value) -> bool | None:
    if term.operator is Operator.EQ:
        return value == term.value
    if term.operator is Operator.NE:
        return value != term.value
    return None if value is None else _COMPARISONS[term.operator](value, term.value)


def _all(parts: Iterable[bool | None]) -> bool | None:
    known = set(parts)
    if False in known:
        return False
    return None if None in known else True


def _negated(value: bool | None) -> bool | None:
    return None if value is None else not value


def _seen(operand: Operand, row: Row) -> Value:
    value = row(operand.field)
    return lowered(value) if operand.lowered and isinstance(value, str) else value


def lowered(text: str) -> str:
    """By the simple mapping of Unicode: no letter grows, and none looks at its neighbours."""
    return "".join(letter.lower()[0] for letter in text)

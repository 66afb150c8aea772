"""Filters written down again, and random ones."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from hypothesis import strategies as st

from domain.clock import utc_text
from domain.filters import (
    Among,
    And,
    Compare,
    Field,
    Filter,
    Kind,
    ListShape,
    Match,
    Matches,
    Not,
    Operand,
    Operator,
    Or,
    Value,
)

_CONDITIONS: Final = (Compare, Among, Matches)
_EQUALITY: Final = (Operator.EQ, Operator.NE)


def printed(tree: Filter) -> str:
    """Text that means this tree, with no more parentheses than OData needs."""
    match tree:
        case Compare(operand, operator, value):
            return f"{_operand(operand)} {operator.value} {literal(value)}"
        case Among(operand, values):
            return f"{_operand(operand)} in ({','.join(map(literal, values))})"
        case Matches(operand, match, text):
            return f"{match.value}({_operand(operand)},{literal(text)})"
        case Not(term):
            return f"not {_enclosed(term, bare=(Matches, Not))}"
        case And(terms):
            return " and ".join(_enclosed(term, bare=(*_CONDITIONS, Not)) for term in terms)
        case Or(terms):
            return " or ".join(_enclosed(term, bare=(*_CONDITIONS, Not, And)) for term in terms)


def literal(value: Value) -> str:
    match value:
        case str():
            return "'" + value.replace("'", "''") + "'"
        case datetime():
            return utc_text(value) if value.year > 999 else value.isoformat()
        case bool():
            return str(value).lower()
        case None:
            return "null"
        case _:
            return str(value)


def _operand(operand: Operand) -> str:
    return f"tolower({operand.field.name})" if operand.lowered else operand.field.name


def _enclosed(term: Filter, bare: tuple[type[Filter], ...]) -> str:
    return printed(term) if isinstance(term, bare) else f"({printed(term)})"


TEXTS: Final = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=12)

_VALUES: Final[dict[Kind, st.SearchStrategy[Value]]] = {
    Kind.STRING: TEXTS,
    Kind.UUID: st.uuids(),
    Kind.TIME: st.datetimes(timezones=st.just(UTC)),
    Kind.INTEGER: st.integers(-(2**63), 2**63 - 1),
    Kind.BOOL: st.booleans(),
}


def filters(
    shape: ListShape, values: Callable[[Field], st.SearchStrategy[Value]] | None = None
) -> st.SearchStrategy[Filter]:
    """Trees as the parser makes them, over values of the fields; of any value unless told."""
    conditions = st.sampled_from(shape.fields).flatmap(lambda field: _condition(field, values or values_of))
    return st.recursive(conditions, _combined, max_leaves=12)


def values_of(field: Field) -> st.SearchStrategy[Value]:
    return st.none() | _VALUES[field.kind] if field.nullable else _VALUES[field.kind]


def _combined(terms: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    chains = st.lists(terms, min_size=2, max_size=4).map(tuple)
    return st.builds(Not, terms) | st.builds(And, chains) | st.builds(Or, chains)


def _condition(field: Field, values: Callable[[Field], st.SearchStrategy[Value]]) -> st.SearchStrategy[Filter]:
    operands = st.builds(Operand, st.just(field), st.booleans() if field.kind is Kind.STRING else st.just(value=False))
    found: st.SearchStrategy[Filter] = st.builds(Compare, operands, st.sampled_from(_EQUALITY), values(field))
    found |= st.builds(Among, operands, st.lists(values(field), min_size=1, max_size=5).map(tuple))
    if field.kind is not Kind.BOOL:
        known = values(field).filter(lambda value: value is not None)
        found |= st.builds(Compare, operands, st.sampled_from(Operator), known)
    if field.kind is Kind.STRING:
        found |= st.builds(
            Matches, operands, st.sampled_from(Match), values(field).filter(lambda value: value is not None)
        )
    return found

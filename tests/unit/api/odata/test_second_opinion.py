"""Filters that two parsers know are read alike: ours, and that of odata-query."""

from collections.abc import Mapping
from functools import reduce
from typing import Final, TypeAlias

import pytest
from hypothesis import given, settings
from odata_query import ast
from odata_query.grammar import ODataLexer, ODataParser

from api.odata.parser import parsed_filter
from domain.filters import Among, And, Compare, Filter, Matches, Not, Operand, Or, Value
from tests.harness.filters import filters, printed
from tests.unit.api.odata.shapes import SHAPE

Reading: TypeAlias = "tuple[Reading, ...] | Value"
"""A tree of tuples led by the name of an operator, chains as pairs to the left."""

_NAMES: Final[Mapping[type, str]] = {
    ast.Eq: "eq", ast.NotEq: "ne", ast.Gt: "gt", ast.GtE: "ge", ast.Lt: "lt", ast.LtE: "le", ast.In: "in",
    ast.And: "and", ast.Or: "or", ast.Not: "not",
}  # fmt: skip
_EARLIEST_YEAR: Final = 1000


def _is_shared(tree: Filter) -> bool:
    """The other parser takes `(x)` for no list, and knows no year before 1000."""
    match tree:
        case Among(_, values):
            return len(values) > 1 and all(map(_is_known, values))
        case Compare(_, _, value):
            return _is_known(value)
        case Not(term):
            return _is_shared(term)
        case And(terms) | Or(terms):
            return all(map(_is_shared, terms))
        case Matches():
            return True


def _is_known(value: Value) -> bool:
    return getattr(value, "year", _EARLIEST_YEAR) >= _EARLIEST_YEAR


def _ours(tree: Filter) -> Reading:
    match tree:
        case Compare(operand, operator, value):
            return (operator.value, _operand(operand), value)
        case Among(operand, values):
            return ("in", _operand(operand), values)
        case Matches(operand, match, text):
            return (match.value, _operand(operand), text)
        case Not(term):
            return ("not", _ours(term))
        case And(terms):
            return reduce(lambda left, right: ("and", left, right), map(_ours, terms))
        case Or(terms):
            return reduce(lambda left, right: ("or", left, right), map(_ours, terms))


def _operand(operand: Operand) -> Reading:
    return ("tolower", operand.field.name) if operand.lowered else operand.field.name


def _theirs(node: ast._Node) -> Reading:
    match node:
        case ast.Compare(operator, left, right) | ast.BoolOp(operator, left, right):
            return (_NAMES[type(operator)], _theirs(left), _theirs(right))
        case ast.UnaryOp(operator, operand):
            return (_NAMES[type(operator)], _theirs(operand))
        case ast.Call(function, arguments):
            return (function.name, *map(_theirs, arguments))
        case ast.List(values):
            return tuple(map(_theirs, values))
        case ast.Identifier(name):
            return name
    assert isinstance(node, ast._Literal)
    value: Value = None if isinstance(node, ast.Null) else node.py_val
    return value


def _second_opinion(text: str) -> Reading:
    return _theirs(ODataParser().parse(ODataLexer().tokenize(text)))


@settings(max_examples=40)
@given(filters(SHAPE).filter(_is_shared))
def test_both_parsers_read_the_same(tree: Filter) -> None:
    text = printed(tree)
    assert _second_opinion(text) == _ours(parsed_filter(text, SHAPE))


@pytest.mark.parametrize(
    "text",
    [
        "key eq 1 or key eq 2 and key eq 3 or not (key eq 4)",
        "((key eq 1 or key eq 2)) and (key eq 3)",
        "not contains( string_field , 'it''s' ) and string_or_null ne null",
        "time_field ge 2026-03-01T09:30:00.123+05:45 and uuid_or_null in (0198C0DE-7A10-7C3E-9B1F-5D2A4E6F8A01, null)",
        "key  lt  -1\tor tolower(string_field) eq ''",
    ],
)
def test_both_parsers_read_what_people_write_alike(text: str) -> None:
    assert _second_opinion(text) == _ours(parsed_filter(text, SHAPE))

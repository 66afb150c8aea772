"""What is wrong with a `$filter` at the token where reading stopped, and the code that says so (api.md 2.7).

Messages name the place and the kind of fault, and repeat nothing of what the caller wrote.
"""

import re
from typing import Final

from api.odata.lexer import MARKS, Tokens
from api.odata.literals import is_literal
from domain.errors import InvalidFilter, InvalidRequest
from domain.filters import Kind, ListShape, Operator

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_.]*+")
_COMPARISONS: Final = frozenset({"in", *(operator.value for operator in Operator)})
_UNSUPPORTED: Final = frozenset({"add", "sub", "mul", "div", "divby", "mod", "has"})
_CONNECTIVES: Final = frozenset({"and", "or", "not"})
_LITERALS: Final = {
    Kind.STRING: "text in single quotes",
    Kind.UUID: "a uuid",
    Kind.TIME: "a date, or a time with its offset (+ is sent as %2B)",
    Kind.INTEGER: "a 64-bit integer",
    Kind.BOOL: "true or false",
}


def syntax(tokens: Tokens, what: str) -> InvalidFilter:
    return refusal(tokens, what, "syntax")


def refusal(tokens: Tokens, what: str, code: str) -> InvalidFilter:
    return InvalidFilter.of(f"{what}, at character {tokens.place}.", code)


def too_complex(tokens: Tokens, what: str) -> InvalidRequest:
    return InvalidRequest.of("$filter", f"{what}, at character {tokens.place}.", "too_complex")


def no_field(tokens: Tokens) -> InvalidFilter:
    """There should be a field, or a function around one."""
    word = tokens.here
    if word in MARKS or word in _COMPARISONS or word in _CONNECTIVES or is_literal(word):
        return syntax(tokens, "Expected a field")
    if "/" in word:
        return refusal(tokens, "Paths are not supported", "unsupported_operator")
    if not _NAME.fullmatch(word):
        return syntax(tokens, "Expected a field")
    if tokens.ahead == "(":
        return refusal(tokens, "This function is not supported here", "unsupported_function")
    return refusal(tokens, "This list has no such field", "unknown_field")


def no_operator(tokens: Tokens) -> InvalidFilter:
    """There should be a comparison behind a field."""
    word = tokens.here
    if word in _CONNECTIVES or is_literal(word) or not _NAME.fullmatch(word):
        return syntax(tokens, "Expected a comparison such as eq")
    return refusal(tokens, "This operator is not supported", "unsupported_operator")


def no_literal(tokens: Tokens, shape: ListShape, kind: Kind) -> InvalidFilter:
    """There should be a literal of this kind."""
    word = tokens.here
    if is_literal(word):
        return refusal(tokens, f"Expected {_LITERALS[kind]}", "type_mismatch")
    if "/" in word or (shape.find(word) is not None):
        return refusal(tokens, "A field can only be compared with a literal", "unsupported_operator")
    if tokens.ahead == "(" and _NAME.fullmatch(word):
        return refusal(tokens, "This function is not supported here", "unsupported_function")
    return syntax(tokens, f"Expected {_LITERALS[kind]}")


def not_connected(tokens: Tokens) -> InvalidFilter:
    """There should be `and`, `or` or the end behind a condition."""
    if tokens.here in _COMPARISONS or tokens.here in _UNSUPPORTED:
        return refusal(tokens, "A condition is one field, one operator and one literal", "unsupported_operator")
    return syntax(tokens, "Expected and, or, or the end")

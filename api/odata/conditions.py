"""One condition of a `$filter`: a comparison, a list of values or a match of text (api.md 2.2)."""

from collections.abc import Mapping
from typing import Final

from api.odata import faults
from api.odata.lexer import Tokens
from api.odata.literals import NULL, text_of, value_of
from domain.filters import Among, Compare, Field, Kind, ListShape, Match, Matches, Operand, Operator, Value

MAX_VALUES: Final = 200

_OPERATORS: Final[Mapping[str, Operator]] = {operator.value: operator for operator in Operator}
_EQUALITY: Final = frozenset({Operator.EQ, Operator.NE})
_MATCHES: Final[Mapping[str, Match]] = {match.value: match for match in Match}


class Conditions:
    """Reads them from where the tokens stand. Raises InvalidFilter, and InvalidRequest for too many values."""

    def __init__(self, tokens: Tokens, shape: ListShape) -> None:
        self._tokens = tokens
        self._shape = shape

    def read(self) -> Compare | Among | Matches:
        match = _MATCHES.get(self._tokens.here.lower())
        if match is not None and self._tokens.ahead == "(":
            return self._matches(match)
        operand = self._operand()
        if self._tokens.here == "in":
            return self._among(operand)
        return self._compare(operand)

    def _matches(self, match: Match) -> Matches:
        self._tokens.take()
        self._expect("(")
        operand = self._operand(Kind.STRING)
        self._expect(",")
        text = self._text()
        self._expect(")")
        return Matches(operand, match, text)

    def _compare(self, operand: Operand) -> Compare:
        operator = _OPERATORS.get(self._tokens.here)
        if operator is None:
            raise faults.no_operator(self._tokens)
        if operand.field.kind is Kind.BOOL and operator not in _EQUALITY:
            raise faults.refusal(self._tokens, "Booleans take eq, ne and in", "unsupported_operator")
        self._tokens.take()
        if self._tokens.here == NULL and operator not in _EQUALITY:
            raise faults.refusal(self._tokens, "null goes with eq, ne and in", "type_mismatch")
        return Compare(operand, operator, self._value(operand.field))

    def _among(self, operand: Operand) -> Among:
        self._tokens.take()
        self._expect("(")
        values = [self._value(operand.field)]
        while self._tokens.here == ",":
            if len(values) == MAX_VALUES:
                raise faults.too_complex(self._tokens, f"More than {MAX_VALUES} values")
            self._tokens.take()
            values.append(self._value(operand.field))
        self._expect(")")
        return Among(operand, tuple(values))

    def _operand(self, kind: Kind | None = None) -> Operand:
        if self._tokens.ahead != "(" or self._tokens.here.lower() != "tolower":
            return Operand(self._field(kind))
        self._tokens.take()
        self._expect("(")
        field = self._field(Kind.STRING)
        self._expect(")")
        return Operand(field, lowered=True)

    def _field(self, kind: Kind | None) -> Field:
        """Of any kind when none is named."""
        field = None if self._tokens.ahead == "(" else self._shape.find(self._tokens.here)
        if field is None:
            raise faults.no_field(self._tokens)
        if kind is not None and field.kind is not kind:
            raise faults.refusal(self._tokens, f"This takes a {kind.value} field", "type_mismatch")
        self._tokens.take()
        return field

    def _value(self, field: Field) -> Value:
        token = self._tokens.here
        if token == NULL and field.nullable:
            self._tokens.take()
            return None
        try:
            value = value_of(token, field.kind)
        except ValueError:
            raise faults.no_literal(self._tokens, self._shape, field.kind) from None
        self._tokens.take()
        return value

    def _text(self) -> str:
        try:
            text = text_of(self._tokens.here)
        except ValueError:
            raise faults.no_literal(self._tokens, self._shape, Kind.STRING) from None
        self._tokens.take()
        return text

    def _expect(self, mark: str) -> None:
        if self._tokens.here != mark:
            raise faults.syntax(self._tokens, f"Expected {mark}")
        self._tokens.take()

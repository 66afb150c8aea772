from datetime import UTC, datetime
from itertools import product
from uuid import UUID

import pytest

from api.odata.parser import parsed_filter
from domain.errors import InvalidFilter
from domain.filters import (
    Among,
    And,
    Compare,
    Filter,
    Kind,
    Match,
    Matches,
    Not,
    Operand,
    Operator,
    Or,
    Value,
)
from tests.unit.api.odata.shapes import SHAPE, field, nullable, required

_ID = "0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01"
_LITERALS: dict[Kind, dict[str, Value]] = {
    Kind.STRING: {"'x'": "x", "''": "", "''''": "'", "'it''s'": "it's", "' %_\\( '": " %_\\( ", "'é\n✓'": "é\n✓"},
    Kind.UUID: {_ID: UUID(_ID), f"'{_ID}'": UUID(_ID), _ID.upper(): UUID(_ID)},
    Kind.TIME: {
        "2026-03-01": datetime(2026, 3, 1, tzinfo=UTC),
        "'2026-03-01'": datetime(2026, 3, 1, tzinfo=UTC),
        "2026-03-01T09:30:00Z": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "'2026-03-01T09:30:00Z'": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "2026-03-01t09:30:00z": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "2026-03-01T09:30Z": datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
        "2026-03-01T09:30:00+05:45": datetime(2026, 3, 1, 3, 45, tzinfo=UTC),
        "2026-03-01T09:30:00-23:59": datetime(2026, 3, 2, 9, 29, tzinfo=UTC),
        "2026-03-01T09:30:00.1Z": datetime(2026, 3, 1, 9, 30, 0, 100_000, tzinfo=UTC),
        "2026-03-01T09:30:00.123456Z": datetime(2026, 3, 1, 9, 30, 0, 123_456, tzinfo=UTC),
        "2026-03-01T09:30:00.123456999Z": datetime(2026, 3, 1, 9, 30, 0, 123_456, tzinfo=UTC),
        "0001-01-01": datetime(1, 1, 1, tzinfo=UTC),
        "9999-12-31T23:59:59.999999999Z": datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    },
    Kind.INTEGER: {"0": 0, "-1": -1, "+7": 7, "007": 7, str(2**63 - 1): 2**63 - 1, str(-(2**63)): -(2**63)},
    Kind.BOOL: {"true": True, "false": False},
}  # fmt: skip
_NOT_OF_KIND: dict[Kind, list[str]] = {
    Kind.STRING: ["5", "true", _ID, "2026-03-01", "null"],
    Kind.UUID: [
        "5", "true", "null", "'x'", "''", f"'{{{_ID}}}'", f"'urn:uuid:{_ID}'", f"'{_ID.replace('-', '')}'", f"' {_ID}'",
    ],
    Kind.TIME: [
        "5", "true", "'x'", _ID, "null", "''", "'tomorrow'",
        "2026-13-01", "2026-02-29", "2026-3-1", "20260301", "12026-03-01", "0000-01-01", "-001-01-01", "2026-W10-1",
        "2026-03-01T09:30:00", "'2026-03-01 09:30:00Z'", "2026-03-01T24:00:00Z", "2026-03-01T23:60:00Z",
        "2026-03-01T23:59:60Z", "2026-03-01T09:30:00.Z", "2026-03-01T09:30:00.1234567890Z", "2026-03-01T09Z",
        "2026-03-01T09:30:00+01:60", "2026-03-01T09:30:00+24:00", "2026-03-01T09:30:00+0100",
        "2026-03-01T09:30:00+01", "2026-03-01Z",
        "0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "'2026-03-0\u0661'",
    ],
    Kind.INTEGER: [
        "'5'", "true", _ID, "null", "5.0", "5e3", "0x10", "1_000", "5L", "--5", "-", "+", "2026-03-01", "5\u0665",
        str(2**63), str(-(2**63) - 1), "9" * 5000,
    ],
    Kind.BOOL: ["'true'", "1", "0", "null"],
}  # fmt: skip
_NOT_LITERAL = ["x", "TRUE", "True", "Null", "NULL", "INF", "NaN", "\u0665", "e5", "=5"]
_OF_KIND = [(kind, text, value) for kind, literals in _LITERALS.items() for text, value in literals.items()]
_ONE_OF_KIND = {kind: next(iter(literals)) for kind, literals in _LITERALS.items()}
_EQUALITY = [Operator.EQ, Operator.NE]


def parsed(text: str) -> Filter:
    return parsed_filter(text, SHAPE)


def refused(text: str) -> tuple[str, int]:
    """The code of the fault, and the character that it names."""
    with pytest.raises(InvalidFilter) as refusal:
        parsed(text)
    (fault,) = refusal.value.faults
    assert fault.field == "$filter"
    return fault.code, int(fault.message.removesuffix(".").rpartition(" ")[2])


@pytest.mark.parametrize(("kind", "text", "value"), _OF_KIND)
def test_a_literal_is_a_value_of_the_kind_of_its_field(kind: Kind, text: str, value: Value) -> None:
    assert parsed(f"{kind.value}_field eq {text}") == Compare(Operand(required(kind)), Operator.EQ, value)
    assert parsed(f"{kind.value}_or_null in ({text})") == Among(Operand(nullable(kind)), (value,))


@pytest.mark.parametrize(("kind", "operator"), list(product(Kind, Operator)))
def test_every_kind_takes_its_comparisons(kind: Kind, operator: Operator) -> None:
    literal = _ONE_OF_KIND[kind]
    text = f"{kind.value}_field {operator.value} {literal}"
    if kind is Kind.BOOL and operator not in _EQUALITY:
        assert refused(text) == ("unsupported_operator", 12)
        return
    assert parsed(text) == Compare(Operand(required(kind)), operator, _LITERALS[kind][literal])


@pytest.mark.parametrize(("kind", "operator"), list(product(Kind, Operator)))
def test_null_is_a_value_of_nullable_fields_under_equality_only(kind: Kind, operator: Operator) -> None:
    text = f"{kind.value}_or_null {operator.value} null"
    if operator in _EQUALITY:
        assert parsed(text) == Compare(Operand(nullable(kind)), operator, None)
        assert refused(f"{kind.value}_field {operator.value} null")[0] == "type_mismatch"
    else:
        assert refused(text)[0] == ("unsupported_operator" if kind is Kind.BOOL else "type_mismatch")


@pytest.mark.parametrize("kind", Kind)
def test_lists_hold_null_where_the_field_may_be_null(kind: Kind) -> None:
    literal = _ONE_OF_KIND[kind]
    values = (_LITERALS[kind][literal], None)
    assert parsed(f"{kind.value}_or_null in ({literal},null)") == Among(Operand(nullable(kind)), values)
    assert refused(f"{kind.value}_field in ({literal},null)")[0] == "type_mismatch"


@pytest.mark.parametrize(("kind", "text"), [(kind, text) for kind, texts in _NOT_OF_KIND.items() for text in texts])
def test_a_literal_of_another_kind_is_refused_at_its_place(kind: Kind, text: str) -> None:
    assert refused(f"{kind.value}_field eq {text}") == ("type_mismatch", len(kind.value) + 11)
    assert refused(f"{kind.value}_field in ({text})") == ("type_mismatch", len(kind.value) + 12)


@pytest.mark.parametrize(("kind", "text"), list(product(Kind, _NOT_LITERAL)))
def test_what_is_no_literal_at_all_is_bad_syntax(kind: Kind, text: str) -> None:
    assert refused(f"{kind.value}_field eq {text}") == ("syntax", len(kind.value) + 11)


@pytest.mark.parametrize(("match", "kind"), list(product(Match, Kind)))
def test_functions_match_text_and_nothing_else(match: Match, kind: Kind) -> None:
    text = f"{match.value}({kind.value}_field,'a''b')"
    if kind is Kind.STRING:
        assert parsed(text) == Matches(Operand(required(kind)), match, "a'b")
    else:
        assert refused(text) == ("type_mismatch", len(match.value) + 2)


@pytest.mark.parametrize("kind", Kind)
def test_tolower_takes_text_and_nothing_else(kind: Kind) -> None:
    text = f"tolower({kind.value}_or_null) eq {_ONE_OF_KIND[kind]}"
    if kind is Kind.STRING:
        assert parsed(text) == Compare(Operand(nullable(kind), lowered=True), Operator.EQ, "x")
    else:
        assert refused(text) == ("type_mismatch", 9)


def test_tolower_stands_wherever_a_text_field_may() -> None:
    lowered = Operand(nullable(Kind.STRING), lowered=True)
    assert parsed("tolower(string_or_null) in ('x',null)") == Among(lowered, ("x", None))
    assert parsed("contains(tolower(string_or_null),'x')") == Matches(lowered, Match.CONTAINS, "x")
    assert parsed("tolower(string_or_null) ne null") == Compare(lowered, Operator.NE, None)


def _is(number: int) -> Compare:
    return Compare(Operand(field("key")), Operator.EQ, number)


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("A", _is(1)),
        ("((A))", _is(1)),
        ("A and B and C", And((_is(1), _is(2), _is(3)))),
        ("A or B or C", Or((_is(1), _is(2), _is(3)))),
        ("A or B and C", Or((_is(1), And((_is(2), _is(3)))))),
        ("A and B or C", Or((And((_is(1), _is(2))), _is(3)))),
        ("A and B or C and A", Or((And((_is(1), _is(2))), And((_is(3), _is(1)))))),
        ("(A or B) and C", And((Or((_is(1), _is(2))), _is(3)))),
        ("A and (B or C)", And((_is(1), Or((_is(2), _is(3)))))),
        ("(A and B) and C", And((And((_is(1), _is(2))), _is(3)))),
        ("not A", Not(_is(1))),
        ("not not A", Not(Not(_is(1)))),
        ("not A and B", And((Not(_is(1)), _is(2)))),
        ("not A or B", Or((Not(_is(1)), _is(2)))),
        ("not (A or B)", Not(Or((_is(1), _is(2))))),
        ("not (not (A) and B)", Not(And((Not(_is(1)), _is(2))))),
        ("A and not (B) or C", Or((And((_is(1), Not(_is(2)))), _is(3)))),
    ],
)
def test_not_binds_tighter_than_and_and_that_tighter_than_or(text: str, tree: Filter) -> None:
    for name, number in {"A": 1, "B": 2, "C": 3}.items():
        text = text.replace(name, f"key eq {number}")
    assert parsed(text) == tree


@pytest.mark.parametrize(
    "text",
    [
        "key eq 1 and (contains(string_field,'x') or not string_or_null in ('a',null))",
        "  key\teq  1 and ( contains ( string_field , 'x' ) or not  string_or_null  in\t( 'a' , null ) ) \t",
        "key eq 1 and(contains(string_field,'x')or not string_or_null in('a',null))",
        "((key eq 1)and((((contains(string_field,'x')))or not(string_or_null in ('a',null)))))",
        "KEY eq +01 and (Contains(String_Field,'x') or not STRING_OR_NULL in ('a',null))",
    ],
)
def test_spelling_leaves_no_trace(text: str) -> None:
    some = Matches(Operand(required(Kind.STRING)), Match.CONTAINS, "x")
    others = Among(Operand(nullable(Kind.STRING)), ("a", None))
    assert parsed(text) == And((_is(1), Or((some, Not(others)))))

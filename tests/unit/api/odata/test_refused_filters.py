import re

import pytest

from api.odata.parser import MAX_LEVELS, parsed_filter
from domain.errors import DomainError, InvalidFilter, InvalidRequest
from domain.filters import And, Filter, Not, Or
from tests.unit.api.odata.shapes import SHAPE

_TERM = "key eq 1"


def fault_of(text: str, kind: type[DomainError]) -> tuple[str, str]:
    with pytest.raises(kind) as refusal:
        parsed_filter(text, SHAPE)
    (fault,) = refusal.value.faults
    assert fault.field == "$filter"
    return fault.code, fault.message


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("", "syntax", 1),
        (" \t ", "syntax", 1),
        ("()", "syntax", 2),
        ("key", "syntax", 4),
        ("bool_field", "syntax", 11),
        ("not bool_field", "syntax", 15),
        ("true", "syntax", 1),
        ("null", "syntax", 1),
        ("'x'", "syntax", 1),
        ("key eq", "syntax", 7),
        ("key 1", "syntax", 5),
        ("eq 1", "syntax", 1),
        ("1 eq key", "syntax", 1),
        ("'x' eq string_field", "syntax", 1),
        ("key eq 1 and", "syntax", 13),
        ("and key eq 1", "syntax", 1),
        ("key eq 1 and or key eq 2", "syntax", 14),
        ("key eq 1 key eq 2", "syntax", 10),
        ("key eq 1 AND key eq 2", "syntax", 10),
        ("NOT key eq 1", "unknown_field", 1),
        ("not", "syntax", 4),
        ("(key eq 1", "syntax", 10),
        ("key eq 1)", "syntax", 9),
        ("(key eq 1))", "syntax", 11),
        (")(", "syntax", 1),
        ("key eq 1;", "type_mismatch", 8),
        ("key = 1", "syntax", 5),
        ("key == 1", "syntax", 5),
        ("string_field eq 'x", "syntax", 17),
        ("string_field eq 'x'y'", "syntax", 17),
        ("string_field eq 'x''", "syntax", 17),
        ("string_field eq'x'", "syntax", 14),
        ("string_field eq 'x'and key eq 1", "syntax", 17),
        ('string_field eq "x"', "syntax", 17),
        ("string_field eq x", "syntax", 17),
        ("time_field eq datetime'2026-03-01'", "syntax", 15),
        ("key\u00a0eq 1", "syntax", 4),
        ("key\neq 1", "syntax", 4),
        ("key eq 1\u2028", "syntax", 9),
        ("\ufeffkey eq 1", "syntax", 1),
        ("-key eq 1", "syntax", 1),
        ("key in ()", "syntax", 9),
        ("key in 1", "syntax", 8),
        ("key in (1", "syntax", 10),
        ("key in (1,)", "syntax", 11),
        ("key in (1 2)", "syntax", 11),
        ("key in (1;2)", "type_mismatch", 9),
        ("key not in (1)", "syntax", 5),
        ("contains(string_field)", "syntax", 22),
        ("contains(string_field,)", "syntax", 23),
        ("contains(string_field,'x'", "syntax", 26),
        ("contains(string_field,'x','y')", "syntax", 26),
        ("contains string_field,'x'", "unknown_field", 1),
        ("contains()", "syntax", 10),
        ("contains('x',string_field)", "syntax", 10),
        ("tolower() eq 'x'", "syntax", 9),
        ("secret eq 1", "unknown_field", 1),
        ("key eq 1 or tenant_id eq 1", "unknown_field", 13),
        ("__class__ eq 1", "unknown_field", 1),
        ("tolower(secret) eq 'x'", "unknown_field", 9),
        ("contains(secret,'x')", "unknown_field", 10),
        ("\u212aey eq 1", "syntax", 1),
        ("k\u0435y eq 1", "syntax", 1),
        ("$it eq 1", "syntax", 1),
        ("@p eq 1", "syntax", 1),
        ("toupper(string_field) eq 'X'", "unsupported_function", 1),
        ("year(time_field) eq 2026", "unsupported_function", 1),
        ("now() gt time_field", "unsupported_function", 1),
        ("any(key)", "unsupported_function", 1),
        ("pg_sleep(10) eq 1", "unsupported_function", 1),
        ("key(1) eq 1", "unsupported_function", 1),
        ("geo.distance(key,1) eq 1", "unsupported_function", 1),
        ("matchesPattern(string_field,'x')", "unsupported_function", 1),
        ("tolower(tolower(string_field)) eq 'x'", "unsupported_function", 9),
        ("tolower(concat(string_field,'x')) eq 'x'", "unsupported_function", 9),
        ("tolower(contains(string_field,'x'))", "unsupported_function", 9),
        ("string_field eq tolower('X')", "unsupported_function", 17),
        ("contains(string_field,tolower('X'))", "unsupported_function", 23),
        ("time_field lt now()", "unsupported_function", 15),
        ("key add 1 eq 2", "unsupported_operator", 5),
        ("key eq 1 add 1", "unsupported_operator", 10),
        ("key eq 1 eq true", "unsupported_operator", 10),
        ("contains(string_field,'x') eq true", "unsupported_operator", 28),
        ("(key eq 1) eq true", "unsupported_operator", 12),
        ("string_field has 'x'", "unsupported_operator", 14),
        ("string_field like 'x'", "unsupported_operator", 14),
        ("key EQ 1", "unsupported_operator", 5),
        ("key eq key", "unsupported_operator", 8),
        ("string_field eq string_or_null", "unsupported_operator", 17),
        ("key in (1,key)", "unsupported_operator", 11),
        ("contains(string_field,string_or_null)", "unsupported_operator", 23),
        ("a/b eq 1", "unsupported_operator", 1),
        ("key/any(x:x eq 1)", "unsupported_operator", 1),
        ("key eq a/b", "unsupported_operator", 8),
        ("contains(string_field,5)", "type_mismatch", 23),
        ("contains(string_or_null,null)", "type_mismatch", 25),
        ("startswith(tolower(key),'x')", "type_mismatch", 20),
    ],
)
def test_each_fault_has_its_code_and_its_place(text: str, code: str, place: int) -> None:
    found, message = fault_of(text, InvalidFilter)
    assert (found, message.endswith(f"at character {place}.")) == (code, True), message


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("key eq 1 or password eq 'hunter2'", InvalidFilter),
        ("<script>alert(1)</script> eq 1", InvalidFilter),
        ("string_field eq 'a\r\nSet-Cookie: b' nonsense", InvalidFilter),
        ("'; drop table chats; --", InvalidFilter),
        ("sleep(9) eq \u202e1", InvalidFilter),
    ],
)
def test_a_refusal_repeats_nothing_of_what_was_sent(text: str, kind: type[DomainError]) -> None:
    _, message = fault_of(text, kind)
    assert re.fullmatch(r"[A-Z][A-Za-z0-9 ,-]+\.", message)
    sent = set(re.findall(r"\w{4,}", text)) - {"string_field"}
    assert not sent & set(re.findall(r"\w{4,}", message))


@pytest.mark.parametrize("text", ["string_field eq '\0'", "\0", "string_field eq '\ud800'", "key eq 1 \udfff"])
def test_text_that_no_store_holds_is_no_request(text: str) -> None:
    assert fault_of(text, InvalidRequest)[0] == "invalid_value"


def test_a_filter_may_be_8192_bytes_long_and_no_longer() -> None:
    room = 8192 - len("string_field eq ''")
    parsed_filter(f"string_field eq '{'é' * (room // 2)}'", SHAPE)
    assert fault_of(f"string_field eq '{'é' * (room // 2)}x'", InvalidRequest)[0] == "too_long"
    assert fault_of(f"string_field eq '{'x' * (room + 1)}'", InvalidRequest)[0] == "too_long"
    assert fault_of(" " * 8193, InvalidRequest)[0] == "too_long"


def test_a_filter_may_have_2000_nodes_and_no_more() -> None:
    five_hundred = " and ".join([_TERM] * 500)
    tree = parsed_filter(five_hundred, SHAPE)
    assert isinstance(tree, And)
    assert len(tree.terms) == 500
    assert isinstance(parsed_filter(f"not {five_hundred}", SHAPE), And)
    assert fault_of(f"not not {five_hundred}", InvalidRequest)[0] == "too_complex"
    assert fault_of(" or ".join([_TERM] * 680), InvalidRequest)[0] == "too_complex"


@pytest.mark.parametrize("opening", ["(", "not ", "not (", "( not "])
def test_a_filter_may_be_64_levels_deep_and_no_deeper(opening: str) -> None:
    def nested(levels: int) -> str:
        openings = (opening * levels)[: len(opening) * levels]
        closed = ")" * openings.count("(")
        return f"{openings}{_TERM}{closed}"

    per_opening = 1 + ("not" in opening and "(" in opening)
    parsed_filter(nested(64 // per_opening), SHAPE)
    assert fault_of(nested(64 // per_opening + 1), InvalidRequest)[0] == "too_complex"


@pytest.mark.parametrize(
    ("nest", "levels"),
    [
        ("({} and key eq 1)", 1),
        ("({} or key eq 1)", 1),
        ("(key eq 2 or {} and key eq 1)", 2),
        ("not ({} and key eq 1 or key eq 2)", 3),
    ],
)
def test_a_tree_is_at_most_64_levels_high(nest: str, levels: int) -> None:
    text = _TERM
    for _ in range(MAX_LEVELS // levels):
        text = nest.format(text)
    assert _height(parsed_filter(text, SHAPE)) == MAX_LEVELS - MAX_LEVELS % levels
    for _ in range(MAX_LEVELS % levels + 1):
        text = nest.format(text)
    assert fault_of(text, InvalidRequest)[0] == "too_complex"


def _height(tree: Filter) -> int:
    match tree:
        case Not(term):
            return 1 + _height(term)
        case And(terms) | Or(terms):
            return 1 + max(map(_height, terms))
        case _:
            return 0


def test_a_level_ends_with_its_term() -> None:
    text = " and ".join([f"not (({_TERM}))"] * 100)
    tree = parsed_filter(f"{'(' * 61}{text}{')' * 61}", SHAPE)
    assert isinstance(tree, And)
    assert {type(term) for term in tree.terms} == {Not}


def test_a_list_may_have_200_values_and_no_more() -> None:
    parsed_filter(f"key in ({','.join(['1'] * 200)})", SHAPE)
    assert fault_of(f"key in ({','.join(['1'] * 201)})", InvalidRequest)[0] == "too_complex"


@pytest.mark.parametrize(
    "text",
    ["(" * 8192, "not " * 2048, ")" * 8192, "'" * 8191, "," * 8192, "key in (" + "1," * 4000, "tolower(" * 1024],
)
def test_hostile_nesting_is_refused(text: str) -> None:
    with pytest.raises((InvalidFilter, InvalidRequest)):
        parsed_filter(text, SHAPE)

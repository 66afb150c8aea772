import pytest

from api.odata.lists import parsed_order, parsed_selection
from domain.errors import InvalidOrder, InvalidRequest
from domain.filters import Field, Kind, ListShape, OrderKey
from tests.unit.api.odata.shapes import KEY, SHAPE, field

_TEXT = field("string_or_null")
_TIME = field("time_field")
_MEMBERS = ("id", "title", "created_at")


@pytest.mark.parametrize(
    ("text", "order"),
    [
        ("key", (OrderKey(KEY),)),
        ("key desc", (OrderKey(KEY, descending=True),)),
        ("time_field", (OrderKey(_TIME), OrderKey(KEY))),
        ("time_field desc", (OrderKey(_TIME, descending=True), OrderKey(KEY, descending=True))),
        (
            "time_field desc,string_or_null asc",
            (OrderKey(_TIME, descending=True), OrderKey(_TEXT), OrderKey(KEY)),
        ),
        ("time_field,key desc", (OrderKey(_TIME), OrderKey(KEY, descending=True))),
        ("key,time_field", (OrderKey(KEY),)),
        (" Time_Field\tdesc , KEY ", (OrderKey(_TIME, descending=True), OrderKey(KEY))),
    ],
)
def test_an_order_is_total_and_its_spelling_leaves_no_trace(text: str, order: tuple[OrderKey, ...]) -> None:
    assert parsed_order(text, SHAPE) == order


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("", "syntax", 1),
        ("  ", "syntax", 1),
        (",", "syntax", 1),
        ("key,", "syntax", 5),
        ("key,,time_field", "syntax", 5),
        ("key DESC", "syntax", 5),
        ("key descending", "syntax", 5),
        ("key asc desc", "syntax", 9),
        ("key time_field", "syntax", 5),
        ("key)", "syntax", 4),
        ("(key)", "syntax", 1),
        ("'key'", "syntax", 1),
        ("key'", "syntax", 1),
        ("key\u00a0desc", "syntax", 4),
        ("desc", "unknown_field", 1),
        ("secret", "unknown_field", 1),
        ("time_field,secret desc", "unknown_field", 12),
        ("a/b", "unknown_field", 1),
        ("-key", "unknown_field", 1),
        ("1", "unknown_field", 1),
        ("\u212aey", "unknown_field", 1),
        ("key;drop", "unknown_field", 1),
        ("tolower(string_field)", "unsupported_function", 1),
        ("random()", "unsupported_function", 1),
        ("key,time_field,Key", "duplicate", 16),
        ("time_field asc,time_field desc", "duplicate", 16),
    ],
)
def test_each_fault_of_an_order_has_its_code_and_its_place(text: str, code: str, place: int) -> None:
    with pytest.raises(InvalidOrder) as refusal:
        parsed_order(text, SHAPE)
    (fault,) = refusal.value.faults
    assert (fault.field, fault.code) == ("$orderby", code)
    assert fault.message.endswith(f"at character {place}.")


def test_an_order_has_at_most_10_keys_and_1024_characters() -> None:
    fields = tuple(Field(f"f{number}", Kind.INTEGER) for number in range(11))
    shape = ListShape(fields=fields, unique=fields[-1], default_order=(OrderKey(fields[-1]),))
    names = [known.name for known in fields]
    assert len(parsed_order(",".join(names[:10]), shape)) == 11
    parsed_order("key" + " " * 1021, SHAPE)
    with pytest.raises(InvalidOrder) as many:
        parsed_order(",".join(names), shape)
    with pytest.raises(InvalidOrder) as long:
        parsed_order("key" + " " * 1022, SHAPE)
    assert [refusal.value.faults[0].code for refusal in (many, long)] == ["too_complex", "too_long"]


@pytest.mark.parametrize(
    ("text", "selection"),
    [
        ("*", None),
        (" * ", None),
        ("title", {"id", "title"}),
        ("id", {"id"}),
        ("title,created_at,id", {"id", "title", "created_at"}),
        (" title ,\tcreated_at ", {"id", "title", "created_at"}),
    ],
)
def test_a_selection_holds_what_it_names_and_the_id(text: str, selection: set[str] | None) -> None:
    assert parsed_selection(text, _MEMBERS, "id") == selection


@pytest.mark.parametrize(
    ("text", "code", "number"),
    [
        ("", "syntax", 1),
        (" ", "syntax", 1),
        (",", "syntax", 1),
        ("title,", "syntax", 2),
        ("title,,id", "syntax", 2),
        ("secret", "unknown_field", 1),
        ("Title", "unknown_field", 1),
        ("title/length", "unknown_field", 1),
        ("title created_at", "unknown_field", 1),
        ("'title'", "unknown_field", 1),
        ("*,title", "unknown_field", 1),
        ("title,*", "unknown_field", 2),
        ("title,created_at,title", "duplicate", 3),
        ("id,id", "duplicate", 2),
    ],
)
def test_each_fault_of_a_selection_has_its_code_and_its_place(text: str, code: str, number: int) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parsed_selection(text, _MEMBERS, "id")
    (fault,) = refusal.value.faults
    assert (fault.field, fault.code) == ("$select", code)
    assert fault.message.startswith(f"Name {number} ")


def test_a_selection_has_at_most_100_names_and_2048_characters() -> None:
    names = [f"m{number}" for number in range(101)]
    assert parsed_selection(",".join(names[:100]), names, "id") == frozenset({"id", *names[:100]})
    parsed_selection("id" + " " * 2046, _MEMBERS, "id")
    with pytest.raises(InvalidRequest) as many:
        parsed_selection(",".join(names), names, "id")
    with pytest.raises(InvalidRequest) as long:
        parsed_selection("id" + " " * 2047, _MEMBERS, "id")
    assert [refusal.value.faults[0].code for refusal in (many, long)] == ["too_complex", "too_long"]


@pytest.mark.parametrize("text", ["key\0", "key,\ud800"])
def test_text_that_no_store_holds_is_no_request(text: str) -> None:
    with pytest.raises(InvalidRequest) as order:
        parsed_order(text, SHAPE)
    with pytest.raises(InvalidRequest) as selection:
        parsed_selection(text, _MEMBERS, "id")
    assert [refusal.value.faults[0].code for refusal in (order, selection)] == ["invalid_value", "invalid_value"]

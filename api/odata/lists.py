"""`$orderby` and `$select`: names in a row (api.md 2.4 and 2.5)."""

from collections.abc import Collection
from typing import Final

from api.odata.lexer import BLANKS, END, MARKS, QUOTE, Tokens, refuse_bad_text
from domain.errors import InvalidOrder, InvalidRequest
from domain.filters import Field, ListShape, OrderKey

MAX_ORDER_CHARACTERS: Final = 1024
MAX_ORDER_KEYS: Final = 10
MAX_SELECTION_CHARACTERS: Final = 2048
MAX_SELECTED: Final = 100

_EVERYTHING: Final = "*"
_SELECTION: Final = "$select"


def parsed_order(text: str, shape: ListShape) -> tuple[OrderKey, ...]:
    """Made total by the list's unique field. Raises InvalidOrder."""
    if len(text) > MAX_ORDER_CHARACTERS:
        raise InvalidOrder.of(f"This is longer than {MAX_ORDER_CHARACTERS} characters.", "too_long")
    refuse_bad_text("$orderby", text)
    tokens = Tokens(text)
    if tokens.find_unreadable():
        raise _refusal(tokens, "Expected names and commas", "syntax")
    keys = _keys(tokens, shape)
    if tokens.here != END:
        raise _refusal(tokens, "Expected asc, desc, a comma or the end", "syntax")
    return shape.total([OrderKey(field, descending) for field, descending in keys.items()])


def _keys(tokens: Tokens, shape: ListShape) -> dict[Field, bool]:
    """Whether each field descends."""
    keys: dict[Field, bool] = {}
    while True:
        if len(keys) == MAX_ORDER_KEYS:
            raise _refusal(tokens, f"More than {MAX_ORDER_KEYS} keys", "too_complex")
        field = _field(tokens, shape, keys)
        keys[field] = _descends(tokens)
        if tokens.here != ",":
            return keys
        tokens.take()


def _field(tokens: Tokens, shape: ListShape, taken: Collection[Field]) -> Field:
    if tokens.here in MARKS or tokens.here.startswith(QUOTE):
        raise _refusal(tokens, "Expected a field", "syntax")
    if tokens.ahead == "(":
        raise _refusal(tokens, "Functions are not supported here", "unsupported_function")
    field = shape.find(tokens.here)
    if field is None:
        raise _refusal(tokens, "This list has no such field", "unknown_field")
    if field in taken:
        raise _refusal(tokens, "This field is named twice", "duplicate")
    tokens.take()
    return field


def _descends(tokens: Tokens) -> bool:
    return tokens.here in {"asc", "desc"} and tokens.take() == "desc"


def _refusal(tokens: Tokens, what: str, code: str) -> InvalidOrder:
    return InvalidOrder.of(f"{what}, at character {tokens.place}.", code)


def parsed_selection(text: str, members: Collection[str], always: str) -> frozenset[str] | None:
    """The members named and `always`; None for `*`, which is all of them. Raises InvalidRequest."""
    if len(text) > MAX_SELECTION_CHARACTERS:
        raise InvalidRequest.of(_SELECTION, f"This is longer than {MAX_SELECTION_CHARACTERS} characters.", "too_long")
    refuse_bad_text(_SELECTION, text)
    names = [name.strip(BLANKS) for name in text.split(",")]
    if names == [_EVERYTHING]:
        return None
    if len(names) > MAX_SELECTED:
        raise InvalidRequest.of(_SELECTION, f"This has more than {MAX_SELECTED} names.", "too_complex")
    chosen = {always}
    for number, name in enumerate(names, start=1):
        _refuse_name(name, number, members, names[: number - 1])
        chosen.add(name)
    return frozenset(chosen)


def _refuse_name(name: str, number: int, members: Collection[str], before: Collection[str]) -> None:
    if not name:
        raise InvalidRequest.of(_SELECTION, f"Name {number} is empty.", "syntax")
    if name not in members:
        raise InvalidRequest.of(_SELECTION, f"Name {number} is no member of the items.", "unknown_field")
    if name in before:
        raise InvalidRequest.of(_SELECTION, f"Name {number} is named twice.", "duplicate")

"""What reads text of strangers: each reads one random text, and says whether it took it.

Anything raised but the refusals that a reader promises is a find, and so is a broken promise about its result.
"""

from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from random import Random
from typing import Final, TypeAlias
from uuid import UUID

from api.odata.lists import parsed_order, parsed_selection
from api.odata.parser import parsed_filter
from api.rest.cursor import CursorKeys, Cursors, ListName, Place, rows_digest
from domain.chats.listing import CHAT_LIST
from domain.errors import InvalidCursor, InvalidFilter, InvalidOrder, InvalidRequest
from domain.filters import Kind, ListShape, OrderKey, Value
from domain.ids import TenantId, UserId
from domain.messages.listing import MESSAGE_LIST
from domain.pagination import Position, Travel
from infra.providers.registry import ADAPTERS
from tests.fuzz.answers import answer_case
from tests.fuzz.texts import Texts
from tests.harness.filters import printed
from tests.unit.api.odata.shapes import SHAPE

_SHAPES: Final[tuple[ListShape, ...]] = (CHAT_LIST, MESSAGE_LIST, SHAPE)
_CURSORS: Final = Cursors(CursorKeys(current=b"a" * 32, previous=b"b" * 32))
_LIST: Final = ListName(
    resource="chats", tenant_id=TenantId(UUID(int=1)), user_id=UserId(UUID(int=2)), rows=rows_digest(None, {})
)
_KEYS: Final[Mapping[Kind, Value]] = {
    Kind.STRING: "x",
    Kind.UUID: UUID(int=3),
    Kind.TIME: datetime(2026, 3, 1, tzinfo=UTC),
    Kind.INTEGER: 2**63 - 1,
    Kind.BOOL: True,
}
_MEMBERS: Final = ("id", "title", "created_at", "metadata")

Reading: TypeAlias = Callable[[], bool]
"""Whether the text was accepted."""


def filter_case(random: Random) -> tuple[str, Reading]:
    shape = random.choice(_SHAPES)
    text = Texts(random, shape).filter()
    return text, lambda: _read_filter(text, shape)


def _read_filter(text: str, shape: ListShape) -> bool:
    try:
        tree = parsed_filter(text, shape)
    except (InvalidFilter, InvalidRequest):
        return False
    with suppress(InvalidRequest):  # written out it may pass a bound
        assert parsed_filter(printed(tree), shape) == tree
    return True


def order_case(random: Random) -> tuple[str, Reading]:
    shape = random.choice(_SHAPES)
    text = Texts(random, shape).order()
    return text, lambda: _read_order(text, shape)


def _read_order(text: str, shape: ListShape) -> bool:
    try:
        order = parsed_order(text, shape)
    except (InvalidOrder, InvalidRequest):
        return False
    fields = [key.field for key in order]
    assert fields[-1] == shape.unique
    assert len({field.name for field in fields}) == len(fields)
    return True


def selection_case(random: Random) -> tuple[str, Reading]:
    text = Texts(random, SHAPE).selection(_MEMBERS)
    return text, lambda: _read_selection(text)


def _read_selection(text: str) -> bool:
    try:
        selection = parsed_selection(text, _MEMBERS, "id")
    except InvalidRequest:
        return False
    assert selection is None or {"id"} <= selection <= set(_MEMBERS)
    return True


def cursor_case(random: Random) -> tuple[str, Reading]:
    shape = random.choice(_SHAPES)
    place = _place(random, shape)
    sealed = _CURSORS.seal(_LIST, place)
    text = sealed if random.random() < 1 / 4 else _forged(random, shape, sealed)
    return text, lambda: _read_cursor(text, shape, place)


def _forged(random: Random, shape: ListShape, sealed: str) -> str:
    """Changed in places, of other keys, or bytes of any kind."""
    kind = random.choice(("slip", "flip", "key", "bytes"))
    if kind == "slip":
        return Texts(random, shape).slip(sealed)
    if kind == "flip":
        at = random.randrange(len(sealed))
        return sealed[:at] + random.choice("AZaz09-_=+/") + sealed[at + 1 :]
    if kind == "key":
        return Cursors(CursorKeys(current=random.randbytes(32))).seal(_LIST, _place(random, shape))
    return urlsafe_b64encode(random.randbytes(random.choice((0, 4, 36, 60, 1536, 3000)))).decode()


def _place(random: Random, shape: ListShape) -> Place:
    order = shape.total([OrderKey(field, random.random() < 1 / 2) for field in random.sample(shape.fields, 2)])
    keys = [None if key.field.nullable else _KEYS[key.field.kind] for key in order]
    return Place(order=order, position=Position(keys=tuple(keys), travel=random.choice(list(Travel))))


def _read_cursor(text: str, shape: ListShape, place: Place) -> bool:
    try:
        opened = _CURSORS.open(_LIST, shape, text)
    except InvalidCursor:
        return False
    assert opened == place
    return True


CASES: Final[Mapping[str, Callable[[Random], tuple[str, Reading]]]] = {
    "filter": filter_case,
    "order": order_case,
    "selection": selection_case,
    "cursor": cursor_case,
    **{kind.value: answer_case(kind) for kind in ADAPTERS},
}

"""Cursors: a place in a list, sealed for one list of one user (api.md 2.6).

    token = base64url( key id (4) | HMAC-SHA-256 (32) | MessagePack (travel, including, order, keys of the edge row) )

The seal covers the place and everything that names the list, so a cursor of another list does not open.
"""

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.errors import InvalidCursor
from domain.filters import Filter, ListShape, OrderKey, Value
from domain.ids import ChatId, TenantId, UserId
from domain.pagination import Position, Travel

MAX_LENGTH = 2048

_VERSION = 3
_UUID = 1
_DESCENDING = "-"
_KEY_ID_BYTES = 4
_SEAL_BYTES = 32


class ListName(msgspec.Struct, frozen=True, kw_only=True):
    """Which list, of whom; `rows` stands for what decides which of its rows there are (see `rows_digest`)."""

    resource: str
    tenant_id: TenantId
    user_id: UserId
    parent: ChatId | None = None
    rows: bytes


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """A position and the order in which it is one."""

    order: tuple[OrderKey, ...]
    position: Position


class CursorKeys(msgspec.Struct, frozen=True, kw_only=True):
    """New cursors are sealed with `current`; those of `previous` still open after a rotation."""

    current: bytes
    previous: bytes | None = None


class Cursors:
    def __init__(self, keys: CursorKeys) -> None:
        self._current = _key_id(keys.current)
        self._keys = {self._current: keys.current}
        if keys.previous is not None:
            self._keys.setdefault(_key_id(keys.previous), keys.previous)

    def seal(self, name: ListName, place: Place) -> str:
        """At most MAX_LENGTH characters for every row that the lists of today can hold."""
        keys = [_written(key) for key in place.position.keys]
        order = [_named(key) for key in place.order]
        payload = msgspec.msgpack.encode((place.position.travel, place.position.including, order, keys))
        return _text_of(self._current + _seal(self._keys[self._current], name, payload) + payload)

    def open(self, name: ListName, shape: ListShape, cursor: str) -> Place:
        """Raises InvalidCursor for anything that `seal` did not make for this very list as it is now."""
        token = _bytes_of(cursor)
        key_id, rest = token[:_KEY_ID_BYTES], token[_KEY_ID_BYTES:]
        seal, payload = rest[:_SEAL_BYTES], rest[_SEAL_BYTES:]
        key = self._keys.get(key_id)
        if key is None or not hmac.compare_digest(seal, _seal(key, name, payload)):
            raise InvalidCursor
        return _place(shape, payload)


def rows_digest(condition: Filter | None, options: Mapping[str, str]) -> bytes:
    """The same for two requests that look at the same rows, however their filters are written."""
    return hashlib.sha256(msgspec.msgpack.encode((condition, options), order="sorted")).digest()


def _place(shape: ListShape, payload: bytes) -> Place:
    """Its own seal proves that it was a place once; the list may have changed since."""
    try:
        travel, including, names, keys = _DECODER.decode(payload)
    except (msgspec.MsgspecError, ValueError):
        raise InvalidCursor from None
    order = tuple(_order_keys(shape, names))
    position = Position(keys=keys, travel=travel, including=including)
    if not order or shape.total(order) != order or not position.fits(order):
        raise InvalidCursor
    return Place(order=order, position=position)


def _order_keys(shape: ListShape, names: Sequence[str]) -> Iterator[OrderKey]:
    for name in names:
        field = shape.find(name.removeprefix(_DESCENDING))
        if field is None:
            raise InvalidCursor
        yield OrderKey(field, descending=name.startswith(_DESCENDING))


def _named(key: OrderKey) -> str:
    return f"{_DESCENDING if key.descending else ''}{key.field.name}"


def _written(key: Value) -> msgspec.msgpack.Ext | Value:
    return msgspec.msgpack.Ext(_UUID, key.bytes) if isinstance(key, UUID) else key


def _read(_: int, key: memoryview) -> UUID:
    return UUID(bytes=bytes(key))


_DECODER: Final = msgspec.msgpack.Decoder(tuple[Travel, bool, tuple[str, ...], tuple[Any, ...]], ext_hook=_read)


def _seal(key: bytes, name: ListName, payload: bytes) -> bytes:
    identity = msgspec.msgpack.encode((_VERSION, name, payload))
    return hmac.digest(key, identity, hashlib.sha256)


def _key_id(key: bytes) -> bytes:
    return hmac.digest(key, b"cursor key id", hashlib.sha256)[:_KEY_ID_BYTES]


def _text_of(token: bytes) -> str:
    return urlsafe_b64encode(token).rstrip(b"=").decode("ascii")


def _bytes_of(cursor: str) -> bytes:
    if len(cursor) > MAX_LENGTH:
        raise InvalidCursor
    padding = "=" * (-len(cursor) % 4)
    try:
        token = b64decode(cursor + padding, altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidCursor from None
    # Several texts may stand for the same bytes; only the one we write is ours.
    if _text_of(token) != cursor:
        raise InvalidCursor
    return token

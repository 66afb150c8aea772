"""Cursors: a position in a list, sealed for one list of one user (api.md 2.6).

    token = base64url( key id (4) | HMAC-SHA-256 (32) | position as MessagePack )

The seal covers the position and everything that names the list, so a cursor of another list does not open.
"""

import hashlib
import hmac
from base64 import b64decode, urlsafe_b64encode
from typing import Any, Final
from uuid import UUID

import msgspec

from domain.errors import InvalidCursor
from domain.filters import Value
from domain.ids import ChatId, TenantId, UserId
from domain.pagination import Position, Travel

MAX_LENGTH = 2048

_VERSION = 2
_UUID = 1
_KEY_ID_BYTES = 4
_SEAL_BYTES = 32


class ListName(msgspec.Struct, frozen=True, kw_only=True):
    """Which list, of whom; `rows` holds the options that decide which rows there are."""

    resource: str
    tenant_id: TenantId
    user_id: UserId
    parent: ChatId | None = None
    rows: tuple[tuple[str, str], ...] = ()


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

    def seal(self, name: ListName, position: Position) -> str:
        payload = msgspec.msgpack.encode((position.travel, [_written(key) for key in position.keys]))
        token = self._current + _seal(self._keys[self._current], name, payload) + payload
        return urlsafe_b64encode(token).rstrip(b"=").decode("ascii")

    def open(self, name: ListName, cursor: str) -> Position:
        """Raises InvalidCursor for anything that `seal` did not make for this very list."""
        token = _bytes_of(cursor)
        key_id, rest = token[:_KEY_ID_BYTES], token[_KEY_ID_BYTES:]
        seal, payload = rest[:_SEAL_BYTES], rest[_SEAL_BYTES:]
        key = self._keys.get(key_id)
        if key is None or not hmac.compare_digest(seal, _seal(key, name, payload)):
            raise InvalidCursor
        travel, keys = _DECODER.decode(payload)
        return Position(keys=keys, travel=travel)


def _written(key: Value) -> msgspec.msgpack.Ext | Value:
    return msgspec.msgpack.Ext(_UUID, key.bytes) if isinstance(key, UUID) else key


def _read(_: int, key: memoryview) -> UUID:
    return UUID(bytes=bytes(key))


_DECODER: Final = msgspec.msgpack.Decoder(tuple[Travel, tuple[Any, ...]], ext_hook=_read)


def _seal(key: bytes, name: ListName, payload: bytes) -> bytes:
    identity = msgspec.msgpack.encode((_VERSION, name, payload))
    return hmac.digest(key, identity, hashlib.sha256)


def _key_id(key: bytes) -> bytes:
    return hmac.digest(key, b"cursor key id", hashlib.sha256)[:_KEY_ID_BYTES]


def _bytes_of(cursor: str) -> bytes:
    if len(cursor) > MAX_LENGTH:
        raise InvalidCursor
    padding = "=" * (-len(cursor) % 4)
    try:
        return b64decode(cursor + padding, altchars=b"-_", validate=True)
    except ValueError:
        raise InvalidCursor from None

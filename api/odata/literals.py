"""What a caller writes for a value, read as the kind of its field."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

from api.odata.lexer import QUOTE
from domain.filters import Kind, Value

NULL: Final = "null"

_BEGINNINGS: Final = (QUOTE, "+", "-", *"0123456789")
_UUID: Final = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,19}")
_INTEGERS: Final = range(-(2**63), 2**63)
_HOUR: Final = "(?:[01][0-9]|2[0-3])"
_MINUTE: Final = "[0-5][0-9]"
_TIME: Final = re.compile(
    rf"[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}"
    rf"(?:[Tt]{_HOUR}:{_MINUTE}(?::[0-9]{{2}}(?:\.[0-9]{{1,9}})?)?(?:[Zz]|[+-]{_HOUR}:{_MINUTE}))?"
)
_BOOLS: Final = {"true": True, "false": False}


def is_literal(token: str) -> bool:
    """Whether the token means a value of any kind, be it a kind that no field has."""
    return token.startswith(_BEGINNINGS) or token == NULL or token in _BOOLS or _UUID.fullmatch(token) is not None


def value_of(token: str, kind: Kind) -> Value:
    """Raises ValueError when the token is no literal of this kind. Null is none."""
    return _READERS[kind](token)


def text_of(token: str) -> str:
    """What a string holds. Raises ValueError for anything else."""
    if not token.startswith(QUOTE):
        raise ValueError(token)
    return token[1:-1].replace("''", QUOTE)


def _uuid(token: str) -> UUID:
    bare = _bare(token)
    if not _UUID.fullmatch(bare):
        raise ValueError(bare)
    return UUID(bare)


def _time(token: str) -> datetime:
    """Cut to microseconds. A bare date is its midnight in UTC."""
    bare = _bare(token)
    if not _TIME.fullmatch(bare):
        raise ValueError(bare)
    moment = datetime.fromisoformat(bare.upper())
    if moment.tzinfo is None:
        return moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(bare) from None


def _integer(token: str) -> int:
    if not _INTEGER.fullmatch(token) or (number := int(token)) not in _INTEGERS:
        raise ValueError(token)
    return number


def _bool(token: str) -> bool:
    if token not in _BOOLS:
        raise ValueError(token)
    return _BOOLS[token]


def _bare(token: str) -> str:
    return token[1:-1] if token.startswith(QUOTE) else token


_READERS: Final[Mapping[Kind, Callable[[str], Value]]] = {
    Kind.STRING: text_of,
    Kind.UUID: _uuid,
    Kind.TIME: _time,
    Kind.INTEGER: _integer,
    Kind.BOOL: _bool,
}

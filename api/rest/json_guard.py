"""From the bytes of a JSON body to a struct, refusing everything the strict contract of api.md 1.3 refuses.

Costs stay linear in the size of the body, whatever is in it: no recursion, no Python loop over the bytes.
"""

import re
from functools import cache
from typing import Any

import msgspec

from api.rest.json_faults import fault_of
from domain.errors import InvalidRequest

MAX_DEPTH = 32

_BODY = "body"


def decode(body: bytes, into: Any) -> Any:
    """The body as `into`, strictly: no text for a number, no null where none is allowed, unknown members ignored.

    Of members that are given twice the last one counts. Raises InvalidRequest naming the member at fault.
    """
    _refuse_bad_text(body)
    try:
        value = _decoder(into).decode(body)
    except msgspec.ValidationError as error:
        raise InvalidRequest(faults=(fault_of(error),)) from None
    except RecursionError:
        raise _too_deep() from None
    except ValueError:
        raise InvalidRequest.of(_BODY, "The body is not well-formed JSON.", "syntax") from None
    if _is_too_deep(body):
        raise _too_deep()
    return value


@cache
def _decoder(into: Any) -> "msgspec.json.Decoder[Any]":
    return msgspec.json.Decoder(into)


def _refuse_bad_text(body: bytes) -> None:
    """Unknown members are skipped by the decoder unread, so their text is checked here; surrogates it checks itself."""
    if b"\x00" in body or (rb"\u0000" in body and _NUL_ESCAPE.search(body)):
        raise InvalidRequest.of(_BODY, "Text must not contain U+0000.", "invalid_value")
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError:
            raise InvalidRequest.of(_BODY, "The body is not valid UTF-8.", "syntax") from None


_NUL_ESCAPE = re.compile(rb"(?<!\\)(?:\\\\)*+\\u0000")
"""An even run of backslashes before it escapes itself, so the escape is a real one."""


def _is_too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return False
    return _SHALLOW.fullmatch(body) is None


def _nested(depth: int) -> bytes:
    """Matches well-formed JSON of at most `depth` levels; possessive, hence linear, and iterative in the engine."""
    leaf = rb'[^\[\]{}"]++|"(?:[^"\\]++|\\.)*+"'
    pattern = b"(?:" + leaf + b")*+"
    for _ in range(depth):
        pattern = b"(?:" + leaf + rb"|[\[{]" + pattern + rb"[\]}])*+"
    return pattern


_SHALLOW = re.compile(_nested(MAX_DEPTH), re.DOTALL)


def _too_deep() -> InvalidRequest:
    return InvalidRequest.of(_BODY, f"More than {MAX_DEPTH} levels of nesting.", "too_complex")

import time
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
import pytest
from msgspec import Meta

from api.rest.json_guard import MAX_DEPTH, decode
from domain.errors import InvalidRequest

SIXTEEN_MIB = 16 * 2**20


class Inner(msgspec.Struct):
    enabled: bool


class Body(msgspec.Struct, kw_only=True):
    text: str
    key: UUID | None = None
    keys: list[UUID] = []
    mode: Literal["a", "b"] = "a"
    short: Annotated[str, Meta(min_length=1, max_length=3)] = "x"
    count: Annotated[int, Meta(ge=1)] = 1
    inner: Inner | None = None
    names: dict[Annotated[str, Meta(pattern="^[a-z]+$")], Annotated[str, Meta(max_length=2)]] = {}


def refused(body: bytes) -> tuple[str, str]:
    with pytest.raises(InvalidRequest) as refusal:
        decode(body, Body)
    (fault,) = refusal.value.faults
    return fault.field, fault.code


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        (b"{", "body", "syntax"),
        (b'{"text":"a"} x', "body", "syntax"),
        (b'\xef\xbb\xbf{"text":"a"}', "body", "syntax"),
        (b'{"text":NaN}', "body", "syntax"),
        (b'{"text":"\xff"}', "body", "syntax"),
        (b'{"text":"","unknown":"\xff"}', "body", "syntax"),
        (b'{"text":"\xed\xa0\x80"}', "body", "syntax"),
        (b'{"text":"\\ud800"}', "body", "syntax"),
        (b'{"text":"","unknown":"\\udc00"}', "body", "syntax"),
        (b'{"text":"","\\ud800":1}', "body", "syntax"),
        (b'{"text":"\\ud800\\ud800"}', "body", "syntax"),
        (b'{"text":"\x00"}', "body", "invalid_value"),
        (b'{"text":"","unknown":"\x00"}', "body", "invalid_value"),
        (b'{"text":"\\u0000"}', "body", "invalid_value"),
        (b'{"text":"","unknown":"\\u0000"}', "body", "invalid_value"),
        (b'{"text":"","\\u0000":1}', "body", "invalid_value"),
        (b'{"text":"\\\\\\u0000"}', "body", "invalid_value"),
        (b"[]", "", "type"),
        (b'"text"', "", "type"),
        (b"{}", "text", "required"),
        (b'{"text":null}', "text", "type"),
        (b'{"text":1}', "text", "type"),
        (b'{"text":"","count":"1"}', "count", "type"),
        (b'{"text":"","count":1.0}', "count", "type"),
        (b'{"text":"","count":0}', "count", "out_of_range"),
        (b'{"text":"","count":1e400}', "count", "out_of_range"),
        (b'{"text":"","count":' + b"9" * 5000 + b"}", "count", "out_of_range"),
        (b'{"text":"","short":""}', "short", "too_short"),
        (b'{"text":"","short":"abcd"}', "short", "too_long"),
        (b'{"text":"","key":"x"}', "key", "invalid_uuid"),
        (b'{"text":"","keys":["0198c0de-79f0-7a01-9d00-1b2c3d4e5f60","x"]}', "keys[1]", "invalid_uuid"),
        (b'{"text":"","keys":"x"}', "keys", "type"),
        (b'{"text":"","mode":"c"}', "mode", "invalid_value"),
        (b'{"text":"","inner":{}}', "inner.enabled", "required"),
        (b'{"text":"","inner":{"enabled":1}}', "inner.enabled", "type"),
        (b'{"text":"","names":{"A":""}}', "names", "invalid_value"),
        (b'{"text":"","names":{"a":"123"}}', "names", "too_long"),
    ],
)
def test_a_fault_is_named_by_member_and_code(body: bytes, field: str, code: str) -> None:
    assert refused(body) == (field, code)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"text":"Déjà 😀"}'.encode(), "Déjà 😀"),
        (b'{"text":"\\ud83d\\ude00"}', "😀"),
        (rb'{"text":"\\u0000"}', r"\u0000"),
        (rb'{"text":"\\\\u0000"}', r"\\u0000"),
        (b'{"text":"a","unknown":{"deep":[1]}}', "a"),
        (b'{"text":"first","text":"last"}', "last"),
        (b'{"text":"' + b"[" * 1000 + b'"}', "[" * 1000),
        (b'{"text":"' + b'\\"[' * 1000 + b'"}', '"[' * 1000),
    ],
)
def test_good_text_arrives_as_it_was_meant(body: bytes, text: str) -> None:
    assert decode(body, Body).text == text


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    """`depth` levels in all, the object around them included."""
    return b'{"text":"","unknown":' + opening * (depth - 1) + b"1" + closing * (depth - 1) + b"}"


def test_thirty_two_levels_are_taken_and_one_more_is_not() -> None:
    assert decode(nested(MAX_DEPTH), Body).text == ""
    assert refused(nested(MAX_DEPTH + 1)) == ("body", "too_complex")
    assert refused(nested(MAX_DEPTH + 1, b'{"a":', b"}")) == ("body", "too_complex")


def test_wide_bodies_are_not_deep() -> None:
    assert decode(b'{"text":"","unknown":[' + b"[]," * 1000 + b"{}]}", Body).text == ""


def test_a_hundred_thousand_levels_are_refused() -> None:
    assert refused(nested(100_000)) == ("body", "too_complex")


@pytest.mark.parametrize(
    "piece",
    [b"[],", b'"",', b"[" * 30 + b"]" * 30 + b",", b'"\\u0041",', rb'"\\u0000",', b'"\\\\\\\\\\\\",'],
    ids=["arrays", "strings", "depth", "escapes", "almost NUL", "backslashes"],
)
def test_no_body_of_the_greatest_size_costs_more_than_two_seconds_of_cpu(piece: bytes) -> None:
    body = b'{"text":"","unknown":[' + piece * (SIXTEEN_MIB // len(piece)) + b"[]" + b",[]" * 40 + b"]}"
    began = time.process_time()
    decoded: Any = decode(body, Body)
    assert decoded.text == ""
    assert time.process_time() - began < 2

"""The names of scripted models: what such a model does is written in its name (providers-and-files.md 2.6).

model = "mock" *( "-" knob )      lower case, each knob at most once, any order
knob  = ( "ttft" / "itl" / "len" / "fail" / "hang" / "tool" / "cite" / "seed" ) n / "echo" / "as" kind
n     = "0" / one to seven digits without leading zero
"""

import re
from enum import StrEnum

import msgspec

_KNOB = re.compile(r"(ttft|itl|len|fail|hang|tool|cite|seed)(0|[1-9][0-9]{0,6})|(echo)|as([a-z]+)", re.ASCII)
_MAXIMUM = {"ttft": 600_000, "itl": 60_000, "len": 200_000, "tool": 20, "cite": 20}


class FailAs(StrEnum):
    SERVER = "server"
    RATE = "rate"
    TIMEOUT = "timeout"
    AUTH = "auth"
    CONTEXT = "context"
    OVERLOAD = "overload"
    EOF = "eof"
    FILTER = "filter"


class MalformedName(Exception):
    """The message says what is wrong with the name, for the operator who wrote it."""


class MockModel(msgspec.Struct, frozen=True, kw_only=True):
    """The knobs of one name. `tokens` is None where the name does not say, which matters to `echo`."""

    name: str
    ttft_ms: int = 0
    itl_ms: int = 0
    tokens: int | None = None
    fail_after: int | None = None
    fail_as: FailAs = FailAs.SERVER
    hang_after: int | None = None
    tools: int = 0
    citations: int = 0
    echo: bool = False
    seed: int | None = None


def parse_name(name: str) -> MockModel:
    """Raises MalformedName for anything outside the grammar or its ranges."""
    kind, *knobs = name.split("-")
    if kind != "mock":
        raise MalformedName("does not begin with 'mock'")
    values: dict[str, str] = {}
    for text in knobs:
        knob, value = _knob(text)
        if knob in values:
            raise MalformedName(f"names {knob!r} twice")
        values[knob] = value
    numbers = {knob: int(value) for knob, value in values.items() if knob not in {"echo", "as"}}
    return MockModel(
        name=name,
        ttft_ms=numbers.get("ttft", 0),
        itl_ms=numbers.get("itl", 0),
        tokens=numbers.get("len"),
        fail_after=numbers.get("fail"),
        fail_as=FailAs(values.get("as", "server")),
        hang_after=numbers.get("hang"),
        tools=numbers.get("tool", 0),
        citations=numbers.get("cite", 0),
        echo="echo" in values,
        seed=numbers.get("seed"),
    )


def _knob(text: str) -> tuple[str, str]:
    match = _KNOB.fullmatch(text)
    if match is None:
        raise MalformedName(f"has an unknown part {text!r}")
    knob, number, echo, kind = match.groups()
    if echo:
        return "echo", ""
    if kind is not None:
        if kind not in set(FailAs):
            raise MalformedName(f"fails as an unknown kind {kind!r}")
        return "as", kind
    if int(number) > _MAXIMUM.get(knob, 9_999_999):
        raise MalformedName(f"sets {knob!r} above {_MAXIMUM[knob]}")
    return knob, number

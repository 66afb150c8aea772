"""What the operator of a development machine wants a scripted model to do (providers-and-files.md 2.6)."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
from msgspec import Meta

from domain.providers.errors import FailureKind
from domain.providers.events import Finish, ToolName, Usage
from domain.providers.request import Purpose
from infra.providers.adapters.scripted.name import MalformedName, MockModel, parse_name

Milliseconds = Annotated[int, Meta(ge=0, le=600_000)]
Words = Annotated[str, Meta(min_length=1)]
Position = Annotated[int, Meta(ge=0)]


class InvalidScript(Exception):
    """`faults` holds one line for each thing wrong."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Wait(_Strict, frozen=True):
    wait_ms: Milliseconds


class Say(_Strict, frozen=True):
    """In `split` pieces of nearly equal length, `itl_ms` apart."""

    text: Words
    split: Annotated[int, Meta(ge=1, le=10_000)] = 1
    itl_ms: Milliseconds = 0


class Think(_Strict, frozen=True):
    reasoning: Words


class UseTool(_Strict, frozen=True):
    tool: ToolName
    phase: Literal["start", "done"]
    key: Words
    details: dict[str, object] = msgspec.field(default_factory=dict)


class Source(_Strict, frozen=True):
    source: Literal["web", "file"]
    title: str
    url: str | None = None
    attachment_id: str | None = None
    snippet: str | None = None
    start: Position | None = None
    end: Position | None = None


class Cite(_Strict, frozen=True):
    cite: Source


class Count(_Strict, frozen=True):
    usage: Usage


class Complete(_Strict, frozen=True):
    finish: Finish


class Fail(_Strict, frozen=True):
    fail: FailureKind
    retry_after_ms: Annotated[int, Meta(ge=1, le=3_600_000)] | None = None


class Hang(_Strict, frozen=True):
    hang: Literal[True]


class BreakOff(_Strict, frozen=True):
    eof: Literal[True]


class Raise(_Strict, frozen=True, rename={"bug": "raise"}):
    """As a bug in an adapter would."""

    bug: Literal[True]


ScriptStep: TypeAlias = Wait | Say | Think | UseTool | Cite | Count | Complete | Fail | Hang | BreakOff | Raise

TERMINAL: Final = (Complete, Fail, Hang, BreakOff, Raise)
_BY_MEMBER: Final[Mapping[str, type[ScriptStep]]] = {
    "wait_ms": Wait,
    "text": Say,
    "reasoning": Think,
    "tool": UseTool,
    "cite": Cite,
    "usage": Count,
    "finish": Complete,
    "fail": Fail,
    "hang": Hang,
    "eof": BreakOff,
    "raise": Raise,
}


class Match(_Strict, frozen=True):
    """All that is given must hold. Only `text` is compared as it stands; `glob` is too, case and all, and `model`."""

    text: str | None = None
    glob: str | None = None
    model: str | None = None
    purpose: Purpose | None = None
    nth: Annotated[int, Meta(ge=1)] | None = None


class Rule(_Strict, frozen=True):
    steps: tuple[ScriptStep, ...]
    match: Match = Match()
    times: int | None = None


class ScriptFile(_Strict, frozen=True):
    rules: tuple[Rule, ...]
    otherwise: MockModel | None = None
    seed: int | None = None


class _Rule(_Strict, frozen=True):
    steps: list[dict[str, Any]]
    match: Match = Match()
    times: Annotated[int, Meta(ge=1)] | None = None


class _Otherwise(_Strict, frozen=True):
    model: str


class _Document(_Strict, frozen=True):
    version: Literal[1]
    rules: list[_Rule] = msgspec.field(default_factory=list)
    otherwise: _Otherwise | None = None
    seed: Annotated[int, Meta(ge=0, le=9_999_999)] | None = None


def load_script(path: Path) -> ScriptFile:
    """Raises InvalidScript for a file that cannot be read, and for every step that nobody would understand."""
    try:
        document = msgspec.json.decode(path.read_bytes(), type=_Document)
    except OSError as fault:
        raise InvalidScript([f"cannot be read: {fault.strerror}"]) from None
    except ValueError as fault:
        raise InvalidScript([str(fault)]) from None
    faults: list[str] = []
    script = ScriptFile(
        rules=tuple(_rule(rule, f"rules[{at}]", faults) for at, rule in enumerate(document.rules)),
        otherwise=_otherwise(document.otherwise, faults),
        seed=document.seed,
    )
    if faults:
        raise InvalidScript(faults)
    return script


def _otherwise(otherwise: _Otherwise | None, faults: list[str]) -> MockModel | None:
    try:
        return None if otherwise is None else parse_name(otherwise.model)
    except MalformedName as fault:
        faults.append(f"otherwise.model: {fault}")
        return None


def _rule(rule: _Rule, place: str, faults: list[str]) -> Rule:
    steps = tuple(_steps(rule.steps, place, faults))
    ended = next((at for at, step in enumerate(steps, start=1) if isinstance(step, TERMINAL)), len(steps))
    if ended < len(steps):
        faults.append(f"{place}.steps[{ended}]: comes after the end")
    return Rule(steps=steps, match=rule.match, times=rule.times)


def _steps(steps: list[dict[str, Any]], place: str, faults: list[str]) -> Iterator[ScriptStep]:
    for at, members in enumerate(steps):
        known = [name for name in members if name in _BY_MEMBER]
        if len(known) != 1:
            faults.append(f"{place}.steps[{at}]: must be one of {', '.join(_BY_MEMBER)}")
            continue
        try:
            yield msgspec.convert(members, _BY_MEMBER[known[0]])
        except msgspec.ValidationError as fault:
            faults.append(f"{place}.steps[{at}]: {fault}")

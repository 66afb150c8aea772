import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from domain.clock import SystemClock
from domain.providers.errors import FailureKind
from domain.providers.events import (
    Accepted,
    Citation,
    CitationFound,
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    ReasoningDelta,
    Span,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
    Usage,
    UsageReport,
)
from domain.providers.request import ProviderRequest, Pseudonyms, Purpose, UserText
from infra.providers.adapters.scripted.adapter import ScriptedProvider
from infra.providers.adapters.scripted.beats import ScriptedBug
from infra.providers.adapters.scripted.script_file import InvalidScript, load_script
from infra.providers.registry import InvalidProviders, build_providers
from infra.providers.settings import ProviderKind, ProviderSettings
from tests.harness.provider_calls import collected, failure_kind, request_for, said

CLOCK = SystemClock()


def provider(tmp_path: Path, **members: Any) -> ScriptedProvider:
    path = tmp_path / "script.json"
    path.write_bytes(msgspec.json.encode({"version": 1, **members}))
    return ScriptedProvider(CLOCK, 1, load_script(path))


def playing(tmp_path: Path, *steps: dict[str, Any]) -> ScriptedProvider:
    return provider(tmp_path, rules=[{"steps": steps}])


def asking(text: str = "PING", chat: str = "c", **changes: object) -> ProviderRequest:
    who = Pseudonyms(tenant="t", user="u", chat=chat)
    return request_for("mock-len1", items=(UserText(text),), pseudonyms=who, **changes)


def told(scripted: ScriptedProvider, request: ProviderRequest | None = None) -> list[tuple[float, list[ProviderEvent]]]:
    return [(beat.pause_ms, list(beat.events)) for beat in scripted.beats(request or asking())]


def answers(scripted: ScriptedProvider, *requests: ProviderRequest) -> list[str]:
    return [said([event for _, events in told(scripted, request) for event in events]) for request in requests]


def rule(text: str, **members: Any) -> dict[str, Any]:
    return {"steps": [{"text": text}, {"finish": "stop"}], **members}


def test_the_example_of_the_design_holds(tmp_path: Path) -> None:
    scripted = playing(
        tmp_path,
        {"wait_ms": 50},
        {"reasoning": "…"},
        {"text": "PONG", "split": 4, "itl_ms": 10},
        {"tool": "web_search", "phase": "start", "key": "a"},
        {"tool": "web_search", "phase": "done", "key": "a", "details": {}},
        {"cite": {"source": "web", "url": "https://example.com", "title": "t", "start": 0, "end": 4}},
        {"usage": {"input_tokens": 30, "output_tokens": 2}},
        {"finish": "stop"},
    )
    cited = Citation(source="web", title="t", url="https://example.com", snippet="t", span=Span(start=0, end=4))
    assert told(scripted) == [
        (50, [Accepted(200), ReasoningDelta("…"), TextDelta("P")]),
        (10, [TextDelta("O")]),
        (10, [TextDelta("N")]),
        (
            10,
            [
                TextDelta("G"),
                ToolStart("a", ToolName.WEB_SEARCH),
                ToolDone("a", ToolName.WEB_SEARCH),
                CitationFound(cited),
                UsageReport(Usage(input_tokens=30, output_tokens=2)),
                Completed(finish=Finish.STOP),
            ],
        ),
    ]


@pytest.mark.parametrize(
    ("split", "pieces"), [(1, ["abcde"]), (2, ["ab", "cde"]), (3, ["a", "bc", "de"]), (9, list("abcde"))]
)
def test_a_text_is_said_in_so_many_pieces(tmp_path: Path, split: int, pieces: list[str]) -> None:
    _, *events = told(playing(tmp_path, {"text": "abcde", "split": split}, {"finish": "stop"}))[0][1]
    assert events[:-1] == [TextDelta(piece) for piece in pieces]


@pytest.mark.parametrize("kind", FailureKind)
def test_every_kind_of_failure_can_be_told(tmp_path: Path, kind: FailureKind) -> None:
    scripted = playing(tmp_path, {"fail": kind.value, "retry_after_ms": 70})
    [(_, [failed])] = told(scripted)
    assert isinstance(failed, Failed)
    assert (failed.failure.kind, failed.failure.retry_after_ms) == (kind, 70)


async def test_an_end_that_is_not_told_is_a_breach(tmp_path: Path) -> None:
    for steps in ([{"text": "a"}], [{"text": "a"}, {"eof": True}]):
        events = await collected(playing(tmp_path, *steps), asking())
        assert (said(events), failure_kind(events)) == ("a", FailureKind.INTERRUPTED)


def test_hanging_is_a_pause_without_end(tmp_path: Path) -> None:
    assert told(playing(tmp_path, {"text": "a"}, {"hang": True}))[-1] == (math.inf, [])


async def test_a_bug_is_raised_after_what_was_said_before_it(tmp_path: Path) -> None:
    beats = playing(tmp_path, {"text": "a"}, {"raise": True}).beats(asking())
    assert next(beats).events == (Accepted(200), TextDelta("a"))
    with pytest.raises(ScriptedBug):
        next(beats)
    with pytest.raises(ScriptedBug):
        await collected(playing(tmp_path, {"raise": True}), asking())


@pytest.mark.parametrize(
    ("match", "holds"),
    [
        ({}, True),
        ({"text": "PING"}, True),
        ({"text": "PIN"}, False),
        ({"text": ""}, False),
        ({"glob": "P*G"}, True),
        ({"glob": "p*g"}, False),
        ({"model": "mock*"}, True),
        ({"model": "other*"}, False),
        ({"purpose": "chat"}, True),
        ({"purpose": "title"}, False),
        ({"nth": 1}, True),
        ({"nth": 2}, False),
        ({"text": "PING", "model": "other"}, False),
    ],
)
def test_a_rule_holds_when_all_it_gives_does(tmp_path: Path, match: dict[str, Any], holds: bool) -> None:
    scripted = provider(tmp_path, rules=[rule("yes", match=match), rule("no")])
    assert answers(scripted, asking()) == ["yes" if holds else "no"]


def test_a_rule_is_used_so_many_times(tmp_path: Path) -> None:
    scripted = provider(tmp_path, rules=[rule("first", times=2), rule("then")])
    assert answers(scripted, *[asking()] * 4) == ["first", "first", "then", "then"]


def test_calls_are_counted_for_each_chat_and_purpose(tmp_path: Path) -> None:
    scripted = provider(tmp_path, rules=[rule("second", match={"nth": 2}), rule("other")])
    calls = [asking(), asking(chat="d"), asking(purpose=Purpose.TITLE), asking(), asking()]
    assert answers(scripted, *calls) == ["other", "other", "other", "second", "other"]


def test_where_no_rule_holds_another_model_may_answer(tmp_path: Path) -> None:
    never = rule("never", match={"text": "never"})
    assert len(answers(provider(tmp_path, rules=[never]), asking())[0].split()) == 1
    otherwise = provider(tmp_path, rules=[never], otherwise={"model": "mock-echo"})
    assert answers(otherwise, asking("Say it")) == ["Say it"]


def test_the_seed_of_the_file_holds(tmp_path: Path) -> None:
    long = request_for("mock-len40")
    plain, seeded = provider(tmp_path), provider(tmp_path, seed=7)
    assert answers(seeded, long) == answers(ScriptedProvider(CLOCK, 7), long) != answers(plain, long)


@pytest.mark.parametrize(
    ("document", "faults"),
    [
        ("{", ["Input data was truncated"]),
        ("{}", ["Object missing required field `version`"]),
        ('{"version":2}', ["Invalid enum value 2 - at `$.version`"]),
        ('{"version":1,"rule":[]}', ["Object contains unknown field `rule`"]),
        (
            '{"version":1,"rules":[{"steps":[],"match":{"txt":"a"}}]}',
            ["Object contains unknown field `txt` - at `$.rules[0].match`"],
        ),
        (
            '{"version":1,"otherwise":{"model":"gpt"},"rules":[{"steps":[{"say":"a"},{"text":"a","finish":"stop"}]}]}',
            [
                "rules[0].steps[0]: must be one of wait_ms, text, reasoning,",
                "rules[0].steps[1]: must be one of wait_ms, text, reasoning,",
                "otherwise.model: does not begin with 'mock'",
            ],
        ),
        (
            '{"version":1,"rules":[{"steps":[{"text":"","split":0},{"text":"a","speed":1},{"fail":"odd"},{"hang":false}]}]}',
            [
                "rules[0].steps[0]: Expected `str` of length >= 1 - at `$.text`",
                "rules[0].steps[1]: Object contains unknown field `speed`",
                "rules[0].steps[2]: Invalid enum value 'odd' - at `$.fail`",
                "rules[0].steps[3]: Invalid",
            ],
        ),
        (
            '{"version":1,"rules":[{"steps":[]},{"steps":[{"text":"a"},{"eof":true},{"text":"b"}]}]}',
            ["rules[1].steps[2]: comes after the end"],
        ),
    ],
)
def test_what_nobody_would_understand_is_refused_at_start(tmp_path: Path, document: str, faults: list[str]) -> None:
    path = tmp_path / "script.json"
    path.write_text(document)
    with pytest.raises(InvalidScript) as invalid:
        load_script(path)
    assert len(invalid.value.faults) == len(faults)
    for fault, beginning in zip(invalid.value.faults, faults, strict=True):
        assert fault.startswith(beginning)
    settings = {"scripted": ProviderSettings(kind=ProviderKind.SCRIPTED, script=path)}
    with pytest.raises(InvalidProviders) as refused:
        build_providers(settings, {}, CLOCK)
    assert refused.value.faults == [f"providers.scripted.script: {fault}" for fault in invalid.value.faults]


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidScript) as invalid:
        load_script(tmp_path / "none.json")
    assert invalid.value.faults == ["cannot be read: No such file or directory"]


async def test_a_configured_script_is_followed(tmp_path: Path) -> None:
    path = tmp_path / "script.json"
    path.write_bytes(msgspec.json.encode({"version": 1, "rules": [rule("PONG")]}))
    settings = {"scripted": ProviderSettings(kind=ProviderKind.SCRIPTED, script=path)}
    registry = build_providers(settings, {}, CLOCK)
    assert said(await collected(registry.for_provider("scripted"), asking())) == "PONG"

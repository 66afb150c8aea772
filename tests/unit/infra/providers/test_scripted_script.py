import math
import re
from hashlib import sha256
from itertools import islice

import pytest

from domain.providers.errors import FailureKind
from domain.providers.events import (
    Accepted,
    CitationFound,
    Completed,
    Failed,
    Finish,
    FunctionCall,
    ProviderEvent,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
    Usage,
)
from domain.providers.request import (
    AssistantText,
    CitedFile,
    CodeInterpreter,
    ContextBlock,
    FileSearch,
    Function,
    UserText,
    WebSearch,
)
from infra.providers.adapters.scripted.beats import Beat
from infra.providers.adapters.scripted.name import parse_name
from infra.providers.adapters.scripted.script import script
from infra.providers.adapters.scripted.words import random_words
from tests.harness.provider_calls import request_for


def beats(name: str, **changes: object) -> list[Beat]:
    return list(script(parse_name(name), request_for(name, **changes), 1))


def events(name: str, **changes: object) -> list[ProviderEvent]:
    return [event for beat in beats(name, **changes) for event in beat.events]


def said(name: str, **changes: object) -> str:
    return "".join(event.text for event in events(name, **changes) if isinstance(event, TextDelta))


def kinds(name: str) -> list[type]:
    return [type(event) for event in events(name)]


def test_a_plain_mock_says_thirty_two_tokens() -> None:
    answer = events("mock")
    assert isinstance(answer[0], Accepted)
    assert len([event for event in answer if isinstance(event, TextDelta)]) == 32
    assert answer[-1] == Completed(finish=Finish.STOP, usage=Usage(input_tokens=4, output_tokens=32))


def test_the_words_never_change() -> None:
    text = said("mock-len200", items=(UserText("Hello there"),))
    assert sha256(text.encode()).hexdigest() == "ed1dfc077a8e93059dc45d0e3d81846839aba675340884c90b99e3bfff42f240"
    assert re.fullmatch(r"(?:[A-Z][a-z]*(?: [a-z]+){0,11}\. ?)+", text)


def test_all_words_and_numbers_come_up() -> None:
    drawn = list(islice(random_words(("x",)), 20_000))
    assert len({word for word, _ in drawn}) == 256
    assert {number for _, number in drawn} == set(range(256))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("mock-len33", {}),
        ("mock-seed2", {}),
        ("mock", {"items": (UserText("Hello"),)}),
        ("mock", {"items": (AssistantText("x"), UserText("Hello there"))}),
    ],
)
def test_seed_name_text_and_number_of_items_each_change_the_words(name: str, changes: dict[str, object]) -> None:
    assert said(name, **changes)[:40] != said("mock")[:40]


def test_equal_input_gives_equal_output() -> None:
    assert events("mock-len50-tool2-cite3") == events("mock-len50-tool2-cite3")
    assert list(script(parse_name("mock-seed1"), request_for("m"), 9)) == list(
        script(parse_name("mock-seed1"), request_for("m"), 8)
    )


def test_pauses_stand_before_the_first_event_between_tokens_and_inside_tools() -> None:
    timing = [
        (beat.pause_ms, [type(event) for event in beat.events]) for beat in beats("mock-ttft300-itl15-len2-tool1")
    ]
    assert timing == [
        (300, [Accepted, ToolStart]),
        (15, [ToolDone, TextDelta]),
        (15, [TextDelta, Completed]),
    ]


def test_the_example_of_the_design_holds() -> None:
    timing = [(b.pause_ms, [type(e) for e in b.events]) for b in beats("mock-ttft300-itl15-len150-fail2-tool1")]
    assert timing == [(300, [Accepted, ToolStart]), (15, [ToolDone, TextDelta]), (15, [TextDelta, Failed])]


def test_without_pauses_events_come_in_bounded_groups() -> None:
    assert max(len(beat.events) for beat in beats("mock-len1000")) == 64


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mock-len3-fail0", [Failed]),
        ("mock-len3-fail1", [Accepted, TextDelta, Failed]),
        ("mock-len3-fail3", [Accepted, TextDelta, TextDelta, TextDelta, Failed]),
        ("mock-len1-fail9", [Accepted, TextDelta, Failed]),
        ("mock-len0", [Accepted, Completed]),
        ("mock-len1-tool1-fail0", [Failed]),
        ("mock-len3-fail1-hang2", [Accepted, TextDelta, Failed]),
        ("mock-len3-fail1-hang1", [Accepted, TextDelta, Failed]),
        ("mock-len3-fail2-hang1", [Accepted, TextDelta]),
        ("mock-hang0", [Accepted]),
        ("mock-len1-hang9", [Accepted, TextDelta]),
        ("mock-len1-cite2", [Accepted, TextDelta, CitationFound, CitationFound, Completed]),
    ],
)
def test_failing_and_hanging_happen_after_exactly_so_many_tokens(name: str, expected: list[type]) -> None:
    assert kinds(name) == expected


def test_hanging_is_a_pause_without_end() -> None:
    assert beats("mock-hang1")[-1] == Beat(math.inf, ())


@pytest.mark.parametrize(
    ("kind", "failure", "hint_ms"),
    [
        ("server", FailureKind.SERVER_ERROR, None),
        ("rate", FailureKind.RATE_LIMITED, 2_000),
        ("timeout", FailureKind.TIMEOUT, None),
        ("auth", FailureKind.AUTH, None),
        ("context", FailureKind.CONTEXT_LENGTH, None),
        ("overload", FailureKind.OVERLOADED, None),
        ("eof", FailureKind.INTERRUPTED, None),
    ],
)
def test_each_kind_of_failure(kind: str, failure: FailureKind, hint_ms: int | None) -> None:
    terminal = events(f"mock-fail1-as{kind}")[-1]
    assert isinstance(terminal, Failed)
    assert (terminal.failure.kind, terminal.failure.retry_after_ms) == (failure, hint_ms)


def test_a_filter_completes() -> None:
    usage = Usage(input_tokens=4, output_tokens=2)
    assert events("mock-fail2-asfilter")[-1] == Completed(finish=Finish.CONTENT_FILTER, usage=usage)


def test_the_output_limit_cuts() -> None:
    assert events("mock-len10", max_output_tokens=4)[-1] == Completed(
        finish=Finish.LENGTH, usage=Usage(input_tokens=4, output_tokens=4)
    )
    assert events("mock-len4", max_output_tokens=4)[-1] == Completed(
        finish=Finish.STOP, usage=Usage(input_tokens=4, output_tokens=4)
    )


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("mock-echo", "Say  this,\nplease! ", "Say  this,\nplease! "),
        ("mock-echo", "  lead", "  lead"),
        ("mock-echo-len2", "a b c", "a b "),
        ("mock-echo-len5", "a b", "a b a b a "),
        ("mock-echo-len0", "a b", ""),
        ("mock-echo", "日本語 😀", "日本語 😀"),
    ],
)
def test_echo_repeats_the_user(name: str, text: str, expected: str) -> None:
    assert said(name, items=(UserText("before"), AssistantText("x"), UserText(text))) == expected


def test_citations_point_at_sentences_in_turn() -> None:
    text = "One 😀 here. Two! Three?"
    found = [e.citation for e in events("mock-echo-cite4", items=(UserText(text),)) if isinstance(e, CitationFound)]
    quoted = [text[c.span.start : c.span.end] for c in found if c.span]
    assert quoted == ["One 😀 here.", "Two!", "Three?", "One 😀 here."]
    assert [citation.url for citation in found][:2] == [
        "https://example.invalid/mock/1",
        "https://example.invalid/mock/2",
    ]


def test_tools_open_and_close_one_after_the_other() -> None:
    calls = [event for event in events("mock-len0-tool2") if isinstance(event, (ToolStart, ToolDone))]
    assert [(type(call), call.key) for call in calls] == [
        (ToolStart, "tool-1"),
        (ToolDone, "tool-1"),
        (ToolStart, "tool-2"),
        (ToolDone, "tool-2"),
    ]


def test_tools_of_the_request_take_turns() -> None:
    tools = (
        WebSearch(context_size="low", max_uses=1),
        CodeInterpreter(),
        FileSearch(store_id="s", max_num_results=1),
        Function(name="sum", description="", schema={"type": "object", "required": ["a"]}),
    )
    calls = [event for event in events("mock-len0-tool5", tools=tools) if isinstance(event, (ToolDone, FunctionCall))]
    arguments = '{"a":null}'
    assert calls == [
        ToolDone("tool-1", ToolName.WEB_SEARCH),
        ToolDone("tool-2", ToolName.CODE_INTERPRETER, {"output": ""}),
        ToolDone("tool-3", ToolName.FILE_SEARCH, {"files_searched": 0}),
        ToolDone("tool-4", ToolName.FUNCTION_CALL, {"call_id": "tool-4", "name": "sum", "arguments": arguments}),
        FunctionCall(key="tool-4", name="sum", arguments=arguments),
        ToolDone("tool-5", ToolName.WEB_SEARCH),
    ]
    started = [event for event in events("mock-len0-tool4", tools=tools) if isinstance(event, ToolStart)]
    assert started[3].details == {"index": 3, "call_id": "tool-4", "name": "sum"}


def test_a_model_without_tools_pretends_to_search_files() -> None:
    done = [event for event in events("mock-len0-tool2") if isinstance(event, ToolDone)]
    assert [(event.name, event.details) for event in done] == [(ToolName.FILE_SEARCH, {"files_searched": 0})] * 2


def test_files_of_the_chat_are_cited_before_the_web() -> None:
    files = {f"file-{name}": CitedFile(attachment_id=name, title=f"{name}.pdf") for name in "ab"}
    found = [e.citation for e in events("mock-len20-cite3", citation_index=files) if isinstance(e, CitationFound)]
    assert [(citation.source, citation.attachment_id or citation.url) for citation in found] == [
        ("file", "a"),
        ("file", "b"),
        ("web", "https://example.invalid/mock/3"),
    ]
    assert all(citation.span for citation in found)
    assert found[0].title == "a.pdf"


def test_everything_said_to_the_model_counts_as_input() -> None:
    items = (ContextBlock("one two"), UserText("three"), AssistantText("four five"), UserText("six"))
    terminal = events("mock-len7", instructions="zero", items=items)[-1]
    assert terminal == Completed(finish=Finish.STOP, usage=Usage(input_tokens=7, output_tokens=7))

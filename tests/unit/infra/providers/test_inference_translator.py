"""Bytes of a token stream to events, the same in every cut and with every line end."""

import json
import time

import pytest

from domain.providers.errors import FailureKind
from domain.providers.events import (
    Citation,
    CitationFound,
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
)
from infra.providers.adapters.inference_http import tool_calls
from infra.providers.adapters.inference_http.markers import MAX_BLOCK_BYTES, MarkerParser
from infra.providers.adapters.inference_http.translator import TokenTranslator
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.citations import MOST_SOURCES
from infra.providers.function_call import MOST_CALLS
from infra.providers.sse_decoder import Frame
from tests.harness.wire_shapes import cut, events_of, joined, shapes_of
from tests.upstreams.inference_http import answered, called, done, failed, token

STOP = Completed(finish=Finish.STOP)
SEARCH = called({"name": "web_search", "arguments": {"q": "x"}})
FOUND = answered({"results": [{"url": "https://example.com/a", "title": "A", "snippet": "said"}, {"url": "file:///b"}]})
SEARCHED: list[ProviderEvent] = [
    ToolStart("call_0", ToolName.WEB_SEARCH),
    ToolDone("call_0", ToolName.WEB_SEARCH),
    CitationFound(Citation(source="web", title="A", url="https://example.com/a", snippet="said")),
]


def function(number: int = 0, name: str = "", arguments: str = "") -> list[ProviderEvent]:
    key = f"call_{number}"
    return [
        ToolStart(key, ToolName.FUNCTION_CALL, {"index": number, "call_id": key, "name": name}),
        ToolDone(key, ToolName.FUNCTION_CALL, {"call_id": key, "name": name, "arguments": arguments}),
    ]


def raw(text: bytes) -> bytes:
    return b'data: {"token":"' + text + b'"}\n\n'


def spelled(text: str) -> bytes:
    """One character for each token, as a model that was not trained on the markers writes them."""
    return b"".join(token(character) for character in text)


def translated(stream: bytes, max_tokens: int = 1_000_000) -> tuple[list[ProviderEvent], Anomalies]:
    """Checked for every shape in which the stream may arrive."""
    anomalies = Anomalies()
    whole = joined(events_of(TokenTranslator(max_tokens, anomalies), cut(stream, len(stream))))
    for name, chunks in shapes_of(stream):
        again = events_of(TokenTranslator(max_tokens, Anomalies()), chunks)
        assert all(event.text for event in again if isinstance(event, TextDelta)), name
        assert joined(again) == whole, name
    return whole, anomalies


@pytest.mark.parametrize(
    ("stream", "events"),
    [
        (token("a ") + token("b") + done(), [TextDelta("a b"), STOP]),
        (token("") + done(), [STOP]),
        (b'data: {"token":"a","gpu":3}\n\n: ping\n\ndata: {"token":"b","done":true}\n\n', [TextDelta("ab"), STOP]),
        (b'data: {"token":null}\n\ndata: {"token":7,"done":"no"}\n\n' + token("a") + done(), [TextDelta("a"), STOP]),
        (b"data: [1]\n\ndata: {}\n\ndata: [DONE]\n\n" + token("a") + done(), [TextDelta("a"), STOP]),
        (raw("größe €😀".encode()) + done(), [TextDelta("größe €😀"), STOP]),
        (raw(rb"\ud83d") + raw(rb"\ude00") + raw(rb"\ud83d") + done(), [TextDelta("😀\ufffd"), STOP]),
        (raw(b"a\xffb") + raw(rb"c\u0000d") + done(), [TextDelta("a\ufffdbcd"), STOP]),
        (token("a<") + token("|pyth") + done(), [TextDelta("a<|pyth"), STOP]),
        (token("1<2 and <|pipe|>") + done(), [TextDelta("1<2 and <|pipe|>"), STOP]),
        (token("a") + SEARCH + FOUND + token("b") + done(), [TextDelta("a"), *SEARCHED, TextDelta("b"), STOP]),
        (
            called({"name": "sum", "arguments": [1, "é"]}) + answered("3") + done(),
            [*function(name="sum", arguments='[1,"é"]'), STOP],
        ),
        (called({"name": "sum", "arguments": "1+2"}) + answered({}) + done(), [*function(0, "sum", "1+2"), STOP]),
        (called("{oops") + answered("[oops") + done(), [*function(), STOP]),
        (called("7") + done(), [function()[0], STOP]),
        (answered({"results": 3}) + answered("[]") + done(), [*function(0), *function(1), STOP]),
        (called("{}") + called("{}") + answered("{}") + done(), [function()[0], function(1)[0], function()[1], STOP]),
        (token("a<|python_end|>b<|output_end|>c") + done(), [TextDelta("abc"), STOP]),
        (token("a<|python_start|>{") + done(), [TextDelta("a"), function()[0], STOP]),
        (token("<|python_start|>{<|python_start|>{}<|python_end|>") + done(), [function()[0], function(1)[0], STOP]),
        (token("<|python_start|>{<|output_start|>{}<|output_end|>a") + done(), [*function(), TextDelta("a"), STOP]),
        (called('{"name":"\\ud800\\u0000","arguments":{"x":"\\ud800"}}') + done(), [function(name="\ufffd")[0], STOP]),
    ],
)
def test_tokens_become_events(stream: bytes, events: list[ProviderEvent]) -> None:
    assert translated(stream)[0] == events


def test_markers_that_come_letter_by_letter_are_markers_all_the_same() -> None:
    call = '<|python_start|>{"name":"web_search"}<|python_end|>'
    result = '<|output_start|>[{"url":"https://example.com/a","title":"A","content":"said"}]<|output_end|>'
    events, _ = translated(spelled(f"so <{call}{result}<|py") + done())
    assert events == [TextDelta("so <"), *SEARCHED, TextDelta("<|py"), STOP]


@pytest.mark.parametrize(
    ("tokens", "heard"),
    [
        (["a <", "b"], ["a ", "<b"]),
        (["<|", "python", "_", "x"], ["", "", "", "<|python_x"]),
        (["<|output_start", "<", "3"], ["", "<|output_start", "<3"]),
    ],
)
def test_only_what_may_become_a_marker_is_held_back(tokens: list[str], heard: list[str]) -> None:
    translator = TokenTranslator(9, Anomalies())
    events = [translator.on_frame(Frame("", json.dumps({"token": text}).encode())) for text in tokens]
    assert events == [[TextDelta(text)] if text else [] for text in heard]


@pytest.mark.parametrize("size", [MAX_BLOCK_BYTES, MAX_BLOCK_BYTES + 1, 20 * MAX_BLOCK_BYTES])
def test_a_block_is_read_up_to_its_limit_and_the_text_behind_it_in_any_case(size: int) -> None:
    body = json.dumps({"name": "web_search"}).ljust(size)
    stream = token("<|python_start|>") + spelled(body) + token("<|python_end|>a") + done()
    anomalies = Anomalies()
    events = events_of(TokenTranslator(1_000_000, anomalies), [stream])
    start = SEARCHED[0] if size <= MAX_BLOCK_BYTES else function()[0]
    assert events == [start, TextDelta("a"), STOP]
    assert anomalies[Anomaly.BROKEN_MARKER] == (size > MAX_BLOCK_BYTES)


def test_a_block_that_never_closes_takes_no_memory() -> None:
    parser = MarkerParser()
    parser.feed("<|python_start|>")
    for _ in range(100):
        parser.feed("x" * 1_000)
    assert sum(map(len, parser._body)) <= MAX_BLOCK_BYTES


def test_markers_without_end_in_one_token_take_no_time() -> None:
    began = time.process_time()
    assert len(MarkerParser().feed("<|output_start|>[]<|output_end|>" * 75_000)) == 75_000
    assert time.process_time() - began < 1.5


@pytest.mark.parametrize("told", [SEARCH + FOUND, FOUND, SEARCH])
def test_only_so_many_calls_are_heard(told: bytes) -> None:
    anomalies = Anomalies()
    events = events_of(TokenTranslator(1_000_000, anomalies), [told * (MOST_CALLS + 2) + done()])
    assert sum(isinstance(event, ToolStart) for event in events) == MOST_CALLS
    assert anomalies[Anomaly.EXCESSIVE_TOOL_CALL] == (4 if told == SEARCH + FOUND else 2)


def test_no_answer_makes_us_look_at_results_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at: list[object] = []
    monkeypatch.setattr(tool_calls, "web_citation", lambda url, *_: looked_at.append(url))
    found = answered({"results": [{"url": "file:///b"}] * 150})
    events_of(TokenTranslator(1_000_000, Anomalies()), [(SEARCH + found) * 9 + done()])
    assert len(looked_at) == MOST_SOURCES


@pytest.mark.parametrize(("tokens", "finish"), [(2, Finish.STOP), (3, Finish.LENGTH), (4, Finish.LENGTH)])
def test_who_was_asked_for_no_more_reached_the_limit(tokens: int, finish: Finish) -> None:
    events, _ = translated(token("a") * tokens + done(), max_tokens=3)
    assert events[-1] == Completed(finish=finish)


@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (b"", FailureKind.INTERRUPTED),
        (b"data: [DONE]\n\n", FailureKind.INTERRUPTED),
        (b"data: {oops\n\n", FailureKind.BAD_RESPONSE),
        (b'data: {"token":NaN}\n\n', FailureKind.BAD_RESPONSE),
        (failed("out of memory"), FailureKind.SERVER_ERROR),
        (failed({"code": 503}), FailureKind.OVERLOADED),
        (failed(True), FailureKind.SERVER_ERROR),
        (b"event: error\ndata: {}\n\n", FailureKind.SERVER_ERROR),
        (failed("the prompt is too long for the context window"), FailureKind.CONTEXT_LENGTH),
    ],
)
def test_what_breaks_off_keeps_the_text_so_far(stream: bytes, kind: FailureKind) -> None:
    *said, terminal = translated(token("a<|") + stream)[0]
    assert isinstance(terminal, Failed)
    assert (said, terminal.failure.kind, terminal.usage) == ([TextDelta("a<|")], kind, None)


def test_a_filtered_answer_is_no_failure() -> None:
    events, _ = translated(token("a") + failed({"code": "content_filter"}))
    assert events == [TextDelta("a"), Completed(finish=Finish.CONTENT_FILTER)]


@pytest.mark.parametrize(
    ("stream", "anomaly", "count"),
    [
        (b"data: 7\n\n", Anomaly.FRAME_NOT_OBJECT, 1),
        (raw(b"\xff"), Anomaly.INVALID_UTF8, 1),
        (called("{oops") + token("<|python_start|>"), Anomaly.BROKEN_MARKER, 2),
    ],
)
def test_what_is_survivable_is_counted(stream: bytes, anomaly: Anomaly, count: int) -> None:
    events, anomalies = translated(stream + done())
    assert isinstance(events[-1], Completed)
    assert anomalies[anomaly] == count


def test_the_deepest_arguments_do_no_harm() -> None:
    for depth in (*range(800, 1_000), 8_000):
        deep = f'{{"name":"f","arguments":{"[" * depth}{"]" * depth}}}'
        events = events_of(TokenTranslator(9, Anomalies()), [called(deep) + done()])
        assert events[-1] == STOP

"""Bytes of a Messages stream to events, the same however they were cut and whatever ends their lines."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Citation,
    CitationFound,
    Completed,
    Failed,
    Finish,
    FunctionCall,
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
from domain.providers.request import Function, WebSearch
from infra.providers.adapters.anthropic.translator import MessagesTranslator
from infra.providers.anomalies import Anomalies, Anomaly
from tests.harness.provider_calls import request_for
from tests.harness.wire_shapes import cut, events_of, joined, shapes_of
from tests.upstreams.anthropic import (
    begin,
    call,
    cited,
    closed,
    ended,
    failed,
    found,
    frame,
    frames,
    message,
    not_found,
    opened,
    ping,
    said,
    search,
    stopped,
    text,
    thinking,
)

REQUEST = request_for(
    "claude",
    tools=(
        WebSearch(context_size="low", max_uses=3),
        Function(name="weather", description="", schema={"type": "object"}),
    ),
)
TIDES = "https://example.org/tides"
MOON = "https://example.org/moon"
ID: dict[str, Any] = {"remote_id": "msg_01XFDUDYJgAACzvnptvVoYEL", "remote_model": "claude-test-20260101"}
COUNTED = Usage(input_tokens=4, output_tokens=3)
DONE = Completed(finish=Finish.STOP, usage=COUNTED, **ID)
ONE_TEXT = begin(message()) + opened(text("")) + said("a")


def sent(event: dict[str, Any], name: str | None = None) -> bytes:
    """A frame as broken as a test wants it."""
    line = b"" if name is None else b"event: " + name.encode() + b"\n"
    return line + b"data: " + json.dumps(event).encode() + b"\n\n"


def delta(**members: Any) -> bytes:
    return frame({"type": "content_block_delta", "index": 0, "delta": members})


def half(piece: str) -> bytes:
    return sent({"type": "content_block_delta", "delta": {"type": "text_delta", "text": piece}})


def ending(reason: object = "end_turn", **usage: Any) -> bytes:
    return frame({"type": "message_delta", "delta": {"stop_reason": reason}, "usage": usage or None}) + stopped()


def translated(stream: bytes, size: int = 1_000_000) -> tuple[list[ProviderEvent], Anomalies]:
    anomalies = Anomalies()
    events = joined(events_of(MessagesTranslator(REQUEST, anomalies), cut(stream, size)))
    return [event for event in events if not isinstance(event, UsageReport)], anomalies


def text_of(events: Iterable[ProviderEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TextDelta))


GOLDEN: dict[str, tuple[bytes, list[ProviderEvent]]] = {
    "text": (
        b"".join(frames(message(text("größe €😀 at sea")))),
        [UsageReport(Usage(input_tokens=4)), TextDelta("größe €😀 at sea"), DONE],
    ),
    "thinking": (
        b"".join(frames(message(thinking("Let me see…"), text("Yes.")))),
        [UsageReport(Usage(input_tokens=4)), ReasoningDelta("Let me see…"), TextDelta("Yes."), DONE],
    ),
    "web search": (
        b"".join(
            frames(
                message(
                    text("I look. "),
                    search("srvtoolu_1", "tides"),
                    found("srvtoolu_1", TIDES, MOON),
                    text("Flut 😀 "),
                    text("14:05", cited(TIDES, "Tides", "High water 14:05"), cited(MOON, None, "")),
                    text("."),
                    input_tokens=10,
                    cache_creation_input_tokens=100,
                    cache_read_input_tokens=1_000,
                    output_tokens=70,
                    output_tokens_details={"thinking_tokens": 5},
                )
            )
        ),
        [
            UsageReport(Usage(input_tokens=1_110, cache_read_tokens=1_000, cache_write_tokens=100)),
            TextDelta("I look. "),
            ToolStart("srvtoolu_1", ToolName.WEB_SEARCH),
            ToolDone("srvtoolu_1", ToolName.WEB_SEARCH),
            TextDelta("Flut 😀 14:05"),
            CitationFound(
                Citation(
                    source="web", title="Tides", url=TIDES, snippet="High water 14:05", span=Span(start=15, end=20)
                )
            ),
            CitationFound(
                Citation(
                    source="web", title="example.org", url=MOON, snippet="example.org", span=Span(start=15, end=20)
                )
            ),
            TextDelta("."),
            Completed(
                finish=Finish.STOP,
                usage=Usage(
                    input_tokens=1_110,
                    output_tokens=70,
                    cache_read_tokens=1_000,
                    cache_write_tokens=100,
                    reasoning_tokens=5,
                ),
                **ID,
            ),
        ],
    ),
    "function": (
        b"".join(frames(message(call("toolu_1", "weather", {"place": "Kiel"}), stop_reason="tool_use"))),
        [
            UsageReport(Usage(input_tokens=4)),
            ToolStart("call_0", ToolName.FUNCTION_CALL, {"index": 0, "call_id": "call_0", "name": "weather"}),
            ToolDone(
                "call_0",
                ToolName.FUNCTION_CALL,
                {"call_id": "call_0", "name": "weather", "arguments": '{"place":"Kiel"}'},
            ),
            FunctionCall(key="call_0", name="weather", arguments='{"place":"Kiel"}'),
            DONE,
        ],
    ),
    "an error in the middle": (
        ONE_TEXT + failed("overloaded_error"),
        [
            UsageReport(Usage(input_tokens=4)),
            TextDelta("a"),
            Failed(
                failure=ProviderFailure(kind=FailureKind.OVERLOADED, detail="status none overloaded_error"),
                usage=Usage(input_tokens=4),
            ),
        ],
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_every_cut_and_every_line_end_gives_the_same_events(name: str) -> None:
    stream, expected = GOLDEN[name]
    for shape, chunks in shapes_of(stream):
        assert joined(events_of(MessagesTranslator(REQUEST, Anomalies()), chunks)) == expected, shape


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("tool_use", Finish.STOP),
        ("max_tokens", Finish.LENGTH),
        ("model_context_window_exceeded", Finish.LENGTH),
        ("refusal", Finish.CONTENT_FILTER),
        ("pause_turn", Finish.TOOL_LIMIT),
        ("because", Finish.STOP),
    ],
)
def test_each_reason_to_stop_has_its_finish(reason: str, finish: Finish) -> None:
    events, anomalies = translated(ONE_TEXT + closed() + ending(reason, output_tokens=3))
    assert events == [TextDelta("a"), Completed(finish=finish, usage=COUNTED, **ID)]
    assert anomalies == ({Anomaly.UNKNOWN_FINISH: 1} if reason == "because" else {})


@pytest.mark.parametrize(
    ("rest", "kind"),
    [
        (b"", FailureKind.INTERRUPTED),
        (closed(), FailureKind.INTERRUPTED),
        (frame({"type": "message_delta", "delta": {"stop_reason": None}, "usage": {}}), FailureKind.INTERRUPTED),
        (b"data: [DONE]\n\n", FailureKind.INTERRUPTED),
        (failed("rate_limit_error"), FailureKind.RATE_LIMITED),
        (failed("api_error"), FailureKind.SERVER_ERROR),
        (failed("timeout_error"), FailureKind.TIMEOUT),
        (failed("authentication_error"), FailureKind.AUTH),
        (failed("billing_error"), FailureKind.ACCOUNT_EXHAUSTED),
        (failed("invalid_request_error", "prompt is too long: 9 tokens > 8 maximum"), FailureKind.CONTEXT_LENGTH),
        (failed("new_error"), FailureKind.SERVER_ERROR),
        (sent({"type": "overloaded_error", "message": "x"}, "error"), FailureKind.OVERLOADED),
        (sent({"type": "error"}), FailureKind.SERVER_ERROR),
        (sent({}, "error"), FailureKind.SERVER_ERROR),
        (sent({"error": "boom"}), FailureKind.SERVER_ERROR),
        (b'event: error\ndata: "boom"\n\n', FailureKind.SERVER_ERROR),
        (sent({"type": "error", "error": 7}, "message_stop"), FailureKind.SERVER_ERROR),
        (b"data: {oops\n\n", FailureKind.BAD_RESPONSE),
        (b'data: {"index":NaN}\n\n', FailureKind.BAD_RESPONSE),
        (b'data: {"index":1e999}\n\n', FailureKind.BAD_RESPONSE),
        (b"data: " + b"[" * 100_000 + b"\n\n", FailureKind.BAD_RESPONSE),
    ],
)
def test_what_breaks_off_keeps_the_text_so_far(rest: bytes, kind: FailureKind) -> None:
    for size in (1, 3, 1_000_000):
        events, _ = translated(ONE_TEXT + rest, size)
        terminal = events[-1]
        assert isinstance(terminal, Failed)
        assert (events[:-1], terminal.failure.kind) == ([TextDelta("a")], kind)
        assert terminal.usage == Usage(input_tokens=4), "what it wrote so far nobody has counted"


def test_a_filter_that_stops_the_answer_is_no_failure() -> None:
    events, _ = translated(ONE_TEXT + sent({"type": "error", "error": {"code": "content_filter"}}))
    assert events == [
        TextDelta("a"),
        Completed(finish=Finish.CONTENT_FILTER, usage=Usage(input_tokens=4), **ID),
    ]


def test_a_missing_goodbye_after_the_reason_is_forgiven_and_counted() -> None:
    events, anomalies = translated(ONE_TEXT + closed() + ended(message()))
    assert events == [TextDelta("a"), DONE]
    assert anomalies == {Anomaly.MISSING_TERMINAL: 1}


def test_a_goodbye_without_a_reason_is_forgiven_and_counted() -> None:
    events, anomalies = translated(ONE_TEXT + stopped())
    assert events == [TextDelta("a"), Completed(finish=Finish.STOP, usage=Usage(input_tokens=4), **ID)]
    assert anomalies[Anomaly.MISSING_FINISH] == 1


@pytest.mark.parametrize(
    ("begun", "grown", "expected"),
    [
        ({"input_tokens": 4}, {"output_tokens": 3}, COUNTED),
        ({"input_tokens": 4, "output_tokens": 1}, {"output_tokens": 3}, COUNTED),
        ({}, {"input_tokens": 4, "output_tokens": 3}, COUNTED),
        ({"input_tokens": 4}, {"input_tokens": 2, "output_tokens": 3}, COUNTED),
        ({"input_tokens": 4.0}, {"output_tokens": 3.0}, COUNTED),
        (
            {"input_tokens": 0, "cache_read_input_tokens": 9},
            {"output_tokens": 3},
            Usage(input_tokens=9, output_tokens=3, cache_read_tokens=9),
        ),
        ({"input_tokens": 4}, {"output_tokens": 0}, Usage(input_tokens=4)),
        ({"input_tokens": 4, "output_tokens": 1}, {}, Usage(input_tokens=4)),
        ({"input_tokens": 4}, {"output_tokens": -3}, Usage(input_tokens=4)),
        ({"input_tokens": 10**18}, {"output_tokens": 3}, Usage(output_tokens=3)),
        (
            {"input_tokens": 9_000_000, "cache_read_input_tokens": 9_000_000},
            {"output_tokens": 3},
            Usage(output_tokens=3, cache_read_tokens=9_000_000),
        ),
        ({"input_tokens": "4"}, {"output_tokens": True}, None),
        ({"input_tokens": 0}, {"output_tokens": 0}, None),
        ({"input_tokens": None}, {"output_tokens": None, "output_tokens_details": [7]}, None),
    ],
)
def test_counts_grow_and_only_plausible_ones_count(
    begun: dict[str, object], grown: dict[str, object], expected: Usage | None
) -> None:
    start = sent({"type": "message_start", "message": {"usage": begun}})
    events, anomalies = translated(start + said("a") + ending("end_turn", **grown))
    assert events[-1] == Completed(finish=Finish.STOP, usage=expected)
    whole = expected is not None and None not in {expected.input_tokens, expected.output_tokens}
    assert anomalies == ({} if whole else {Anomaly.INVALID_USAGE: 1})


@pytest.mark.parametrize(
    ("frames_", "expected"),
    [
        pytest.param(sent({}), "a", id="nothing"),
        pytest.param(sent({"type": None}), "a", id="no type"),
        pytest.param(sent({"type": "content_block_shimmer", "index": 0}), "a", id="unknown event"),
        pytest.param(sent({"type": "message_start", "message": None}), "a", id="no message"),
        pytest.param(
            sent({"type": "message_start", "message": {"id": 7, "model": [], "usage": 5}}), "a", id="bad message"
        ),
        pytest.param(sent({"type": "content_block_start", "index": 1, "content_block": None}), "a", id="no block"),
        pytest.param(
            sent({"type": "content_block_start", "index": "x", "content_block": {"type": 5}}), "a", id="bad block"
        ),
        pytest.param(opened({"type": "mcp_tool_use", "id": "x"}, 1) + closed(1), "a", id="unknown block"),
        pytest.param(
            opened({"type": "redacted_thinking", "data": "EmwKAhgB"}, 1) + closed(1), "a", id="hidden thought"
        ),
        pytest.param(opened(search("s", "q") | {"name": "web_fetch"}, 1), "a", id="another server's tool"),
        pytest.param(sent({"type": "content_block_delta", "index": 0}), "a", id="no delta"),
        pytest.param(delta(type="text_delta"), "a", id="no text"),
        pytest.param(delta(type="text_delta", text=None), "a", id="null text"),
        pytest.param(delta(type="text_delta", text=["b"]), "a", id="text is a list"),
        pytest.param(delta(type="shimmer_delta", text="b"), "a", id="unknown delta"),
        pytest.param(delta(type="signature_delta", signature="xyz"), "a", id="signature"),
        pytest.param(delta(type="input_json_delta", partial_json="{"), "a", id="arguments in text"),
        pytest.param(delta(type="citations_delta"), "a", id="no citation"),
        pytest.param(delta(type="citations_delta", citation="x"), "a", id="citation is text"),
        pytest.param(delta(type="citations_delta", citation={"type": "page_location"}), "a", id="unknown citation"),
        pytest.param(delta(type="citations_delta", citation=cited("javascript:alert(1)", "x", "y")), "a", id="script"),
        pytest.param(delta(type="citations_delta", citation=cited("http://10.0.0.1/", "x", "y")), "a", id="private"),
        pytest.param(said("b", 7), "ab", id="text of a block that never began"),
        pytest.param(
            sent({"type": "content_block_delta", "index": 1.5, "delta": {"type": "text_delta", "text": "b"}}),
            "ab",
            id="index is no integer",
        ),
        pytest.param(
            sent({"index": 0, "delta": {"type": "text_delta", "text": "b"}}, "content_block_delta"),
            "ab",
            id="named by its line",
        ),
        pytest.param(
            sent({"type": "x", "delta": {"type": "text_delta", "text": "b"}}, "content_block_delta"),
            "ab",
            id="unknown type, known line",
        ),
        pytest.param(opened(text("")) + said("b"), "ab", id="a block that begins twice"),
        pytest.param(closed() + closed() + closed(9), "a", id="a block that ends twice"),
        pytest.param(opened(text("b"), 1), "ab", id="text at the start of a block"),
        pytest.param(b"".join(opened(text(""), index) for index in range(2_000)) + said("b"), "ab", id="many open"),
        pytest.param(b"data: [1]\n\ndata: 7\n\ndata: null\n\n", "a", id="no objects"),
        pytest.param(b"data: [DONE]\n\n", "a", id="done in another tongue"),
        pytest.param(ping() + b": ping\n\n", "a", id="pings"),
        pytest.param(said("\0b\0"), "ab", id="nul"),
        pytest.param(half("\ud83d") + half("\ude00"), "a😀", id="halves"),
        pytest.param(
            half("\ud83d") + closed() + opened(text(""), 1) + said("b", 1), "a\ufffdb", id="half at the end of a block"
        ),
        pytest.param(half("\ud83d"), "a\ufffd", id="half at the end"),
        pytest.param(
            b'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"\xff"}}\n\n',
            "a\ufffd",
            id="bad utf-8",
        ),
    ],
)
def test_what_is_malformed_costs_no_more_than_itself(frames_: bytes, expected: str) -> None:
    for size in (1, 1_000_000):
        events, _ = translated(ONE_TEXT + frames_ + ending(output_tokens=3), size)
        assert text_of(events) == expected
        assert [type(event) for event in events] == [TextDelta, Completed]


def test_a_citation_without_text_has_no_place_and_a_double_one_is_told_once() -> None:
    source = delta(type="citations_delta", citation=cited(TIDES, "Tides", "x"))
    stream = begin(message()) + opened(text("")) + source * 3 + closed() + ending(output_tokens=3)
    assert [event.citation.span for event in translated(stream)[0] if isinstance(event, CitationFound)] == [None]


def test_citations_of_an_answer_that_broke_off_are_kept() -> None:
    source = delta(type="citations_delta", citation=cited(TIDES, "Tides", "x"))
    events, _ = translated(ONE_TEXT + source + failed("api_error"))
    (found_,) = (event.citation for event in events if isinstance(event, CitationFound))
    assert found_.span == Span(start=0, end=1)


def test_no_answer_cites_without_end() -> None:
    many = b"".join(delta(type="citations_delta", citation=cited(f"{TIDES}/{n}", None, "x")) for n in range(200))
    events, _ = translated(ONE_TEXT + many + closed() + ending(output_tokens=3))
    assert sum(isinstance(event, CitationFound) for event in events) == 50


def test_no_answer_makes_us_look_at_sources_without_end() -> None:
    refused = delta(type="citations_delta", citation=cited("http://10.0.0.1/", "x", "y"))
    good = delta(type="citations_delta", citation=cited(TIDES, "Tides", "x"))
    assert len(places_of(opened(text("")) + refused * 199 + good)) == 1
    assert places_of(opened(text("")) + refused * 200 + good) == []


@pytest.mark.parametrize(
    ("frames_", "keys"),
    [
        (opened(search("s1", "q")) + opened(found("s1"), 1), ["+s1", "-s1"]),
        (opened(search("s1", "q")) * 2 + opened(found("s1"), 1) * 2, ["+s1", "-s1"]),
        (opened(found("s1")), ["-s1"]),
        (opened(found("s1") | {"tool_use_id": None}), []),
        (
            opened(search("s1", "q") | {"id": None}) + opened(found("s1") | {"tool_use_id": 5}, 1),
            ["+search 0", "-search 0"],
        ),
        (opened(search("s1", "q")) + opened(search("s2", "q"), 1) + opened(found("s2"), 2), ["+s1", "+s2", "-s2"]),
        (
            opened(search("s1", "q")) + opened(found("s1") | {"content": {"error_code": "unavailable"}}, 1),
            ["+s1", "-s1"],
        ),
    ],
)
def test_a_search_begins_once_and_ends_once(frames_: bytes, keys: list[str]) -> None:
    events, _ = translated(begin(message()) + frames_ + ending(output_tokens=3))
    shown = [
        f"{'+' if isinstance(event, ToolStart) else '-'}{event.key}"
        for event in events[:-1]
        if isinstance(event, (ToolStart, ToolDone))
    ]
    assert shown == keys


def test_a_search_beyond_the_allowed_ones_is_told_only_if_it_was_made() -> None:
    allowed = b"".join(opened(search(f"s{n}", "q")) + opened(found(f"s{n}")) for n in range(3))
    refused = opened(search("s3", "q")) + opened(not_found("s3", "max_uses_exceeded"))
    made = opened(search("s4", "q")) + opened(found("s4"))
    events, _ = translated(
        begin(message()) + allowed + refused + made + opened(search("s5", "q")) + ending(output_tokens=3)
    )
    tools = [event for event in events if isinstance(event, (ToolStart, ToolDone))]
    assert [tool.key for tool in tools] == ["s0", "s0", "s1", "s1", "s2", "s2", "s4", "s4"]


def test_a_call_of_a_function_that_nobody_offered_is_ignored_and_counted() -> None:
    events, anomalies = translated(b"".join(frames(message(call("t", "../etc", {}), stop_reason="tool_use"))))
    assert events == [DONE]
    assert anomalies == {Anomaly.UNOFFERED_TOOL_CALL: 1}


@pytest.mark.parametrize(
    ("pieces", "given", "arguments"),
    [
        (['{"a":', "1}"], {}, '{"a":1}'),
        ([], {"a": 1}, '{"a":1}'),
        ([], {}, "{}"),
        ([], None, "{}"),
        (["", "{oops"], {}, "{oops"),
        (['"\ud83d', '\ude00"'], {}, '"😀"'),
        (['"\ud83d"'], {}, '"\ufffd"'),
    ],
)
def test_arguments_are_gathered_and_repaired(pieces: list[str], given: object, arguments: str) -> None:
    start = sent(
        {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "weather", "input": given}}
    )
    deltas = [
        sent({"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": piece}})
        for piece in pieces
    ]
    events, _ = translated(start + b"".join(deltas) + closed() + ending("tool_use", input_tokens=4, output_tokens=3))
    assert [event.arguments for event in events if isinstance(event, FunctionCall)] == [arguments]


def test_of_a_call_beyond_all_bounds_the_engine_is_not_asked() -> None:
    piece = delta(type="input_json_delta", partial_json="x" * 1_000)
    stream = (
        opened(call("t", "weather", {})) + piece * 100 + closed() + ending("tool_use", input_tokens=4, output_tokens=3)
    )
    start, done, _ = translated(stream)[0]
    assert isinstance(start, ToolStart)
    assert isinstance(done, ToolDone)
    assert len(str(done.details["arguments"])) == 65_000
    assert translated(stream)[1] == {Anomaly.EXCESSIVE_TOOL_CALL: 1}


def test_no_answer_calls_without_end() -> None:
    calls = b"".join(opened(call("t", "weather", {}), index) + closed(index) for index in range(20))
    events, anomalies = translated(calls + ending("tool_use", input_tokens=4, output_tokens=3))
    assert sum(isinstance(event, FunctionCall) for event in events) == 16
    assert anomalies == {Anomaly.EXCESSIVE_TOOL_CALL: 4}


def test_a_call_that_was_left_open_is_done_at_the_end() -> None:
    events, _ = translated(opened(call("t", "weather", {})) + ending("tool_use", output_tokens=3))
    assert any(isinstance(event, FunctionCall) for event in events)


def places_of(stream: bytes) -> list[Span | None]:
    events, _ = translated(begin(message()) + stream + ending(output_tokens=3))
    return [event.citation.span for event in events if isinstance(event, CitationFound)]


def test_places_count_what_was_stored_also_where_a_character_was_halved() -> None:
    source = delta(type="citations_delta", citation=cited(TIDES, "Tides", "x"))
    stream = opened(text("")) + said("a") + half("\ud83d") + source + closed() + opened(text("")) + said("b") + source
    assert places_of(stream) == [Span(start=0, end=2), Span(start=2, end=3)]


def test_a_block_that_begins_in_place_of_another_ends_it() -> None:
    source = delta(type="citations_delta", citation=cited(TIDES, "Tides", "x"))
    assert places_of((opened(text("")) + said("a") + source) * 2) == [Span(start=0, end=1), Span(start=1, end=2)]


def test_of_many_open_blocks_the_oldest_ends() -> None:
    source = delta(type="citations_delta", citation=cited(TIDES, "Tides", "x"))
    stream = opened(text("")) + said("a") + source + b"".join(opened(text(""), index) for index in range(1, 65))
    assert places_of(stream + said("b", 64)) == [Span(start=0, end=1)]

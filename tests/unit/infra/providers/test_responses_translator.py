"""Bytes of a Responses stream to events, the same whatever the cuts and the line ends."""

import json
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
)
from domain.providers.request import CitedFile, Function
from infra.providers.adapters.openai_responses.translator import ResponsesTranslator
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.sse_decoder import Frame
from tests.harness.provider_calls import request_for
from tests.harness.wire_shapes import events_of, joined, shapes_of
from tests.upstreams.openai_responses import Answering, Members, file_citation, url_citation, usage_of

FILES = {"file-1": CitedFile(attachment_id="a-1", title="report.pdf")}
KINDS = ("web_search", "file_search")
WEATHER = Function(name="weather", description="", schema={})
COUNTED = Usage(input_tokens=4, output_tokens=3, cache_read_tokens=2, cache_write_tokens=1, reasoning_tokens=1)
ENDED = Completed(finish=Finish.STOP, usage=COUNTED, remote_id="resp_fake0001", remote_model="gpt-fake")


def translator(anomalies: Anomalies | None = None) -> ResponsesTranslator:
    request = request_for("gpt", citation_index=FILES, tools=(WEATHER,))
    return ResponsesTranslator(request, Anomalies() if anomalies is None else anomalies)


def told(*steps: bytes, anomalies: Anomalies | None = None) -> list[ProviderEvent]:
    return joined(events_of(translator(anomalies), steps))


def sent(data: object, event: str | None = None) -> bytes:
    line = b"" if event is None else f"event: {event}\n".encode()
    return line + b"data: " + json.dumps(data).encode() + b"\n\n"


def delta(text: str, place: tuple[int, int] = (0, 0)) -> bytes:
    output_index, content_index = place
    members = {"output_index": output_index, "content_index": content_index, "delta": text}
    return sent({"type": "response.output_text.delta", **members})


def terminal(name: str = "completed", **members: object) -> bytes:
    return sent({"type": f"response.{name}", "response": members})


def message(*parts: Members) -> Members:
    return {"type": "message", "content": list(parts)}


def part(text: object, *annotations: Members) -> Members:
    return {"type": "output_text", "text": text, "annotations": list(annotations)}


def annotated(annotation: object, place: tuple[int, int] = (0, 0)) -> bytes:
    members = {"annotation": annotation, "output_index": place[0], "content_index": place[1]}
    return sent({"type": "response.output_text.annotation.added", **members})


def tool(kind: str, state: str, **members: object) -> bytes:
    return sent({"type": f"response.{kind}_call.{state}", **members})


def item_done(kind: str, **members: object) -> bytes:
    return sent({"type": "response.output_item.done", "item": {"type": kind, **members}})


def citations(events: list[ProviderEvent]) -> list[Citation]:
    return [event.citation for event in events if isinstance(event, CitationFound)]


def tools(events: list[ProviderEvent]) -> list[ToolStart | ToolDone]:
    return [event for event in events if isinstance(event, (ToolStart, ToolDone))]


def whole_answer() -> bytes:
    answering = Answering()
    results = [{"file_id": "file-1", "text": "High water at 14:05."}, {"file_id": "file-2", "text": "No."}]
    cited = [url_citation("https://example.org/t", "Tides", 0, 4), file_citation("file-1", 5)]
    steps = [
        answering.begin(),
        *answering.think("Let me ", "look."),
        *answering.search_web("tides"),
        *answering.search_files("tides", results),
        *answering.interpret("print(1)", "1\n2"),
        *answering.call("weather", '{"place":', '"Kiel"}'),
        *answering.say("Größe ", "😀 ", "tide.", annotations=cited),
        answering.complete(),
    ]
    return b"".join(steps)


EXPECTED: list[ProviderEvent] = [
    ReasoningDelta("Let me look."),
    ToolStart("ws_fake0001", ToolName.WEB_SEARCH),
    ToolDone("ws_fake0001", ToolName.WEB_SEARCH),
    ToolStart("fs_fake0002", ToolName.FILE_SEARCH),
    ToolDone("fs_fake0002", ToolName.FILE_SEARCH, {"files_searched": 2}),
    ToolStart("ci_fake0003", ToolName.CODE_INTERPRETER),
    ToolDone("ci_fake0003", ToolName.CODE_INTERPRETER, {"output": "1\n2"}),
    ToolStart("call_0", ToolName.FUNCTION_CALL, {"index": 0, "call_id": "call_0", "name": "weather"}),
    ToolDone(
        "call_0",
        ToolName.FUNCTION_CALL,
        {"call_id": "call_0", "name": "weather", "arguments": '{"place":"Kiel"}'},
    ),
    FunctionCall(key="call_0", name="weather", arguments='{"place":"Kiel"}'),
    TextDelta("Größe 😀 tide."),
    CitationFound(
        Citation(source="web", title="Tides", url="https://example.org/t", snippet="Größ", span=Span(start=0, end=4))
    ),
    CitationFound(Citation(source="file", title="report.pdf", attachment_id="a-1", snippet="High water at 14:05.")),
    ENDED,
]


def test_a_whole_answer_is_the_same_in_every_shape() -> None:
    for name, chunks in shapes_of(whole_answer()):
        anomalies = Anomalies()
        assert joined(events_of(translator(anomalies), chunks)) == EXPECTED, name
        assert not anomalies, name


def test_names_may_stand_in_the_data_or_in_the_event_line() -> None:
    nameless = b"".join(line + b"\n" for line in whole_answer().split(b"\n") if not line.startswith(b"event:"))
    assert told(nameless) == EXPECTED
    frames = []
    for block in whole_answer().decode().split("\n\n")[:-1]:
        event, data = block.split("\n")
        members = json.loads(data.removeprefix("data: "))
        members.pop("type")
        frames.append(sent(members, event.removeprefix("event: ")))
    assert told(*frames) == EXPECTED


def test_a_type_that_is_no_events_name_leaves_the_word_to_the_event_line() -> None:
    flat = sent({"type": "rate_limit_error", "message": "x"}, "error")
    assert told(flat)[-1] == told(sent({"error": {"type": "rate_limit_error"}}))[-1]
    assert isinstance(told(flat)[-1], Failed)


@pytest.mark.parametrize("name", ["completed", "incomplete", "failed"])
def test_terminals_are_read_wrapped_and_flat(name: str) -> None:
    members: dict[str, Any] = {
        "id": "resp_1",
        "model": "m",
        "output": [message(part("Hi"))],
        "usage": usage_of(4, 3),
        "incomplete_details": {"reason": "max_output_tokens"},
        "error": {"code": "server_error", "message": "x"},
    }
    wrapped, flat = told(terminal(name, **members)), told(sent({"type": f"response.{name}", **members}))
    assert wrapped == flat
    assert wrapped[0] == TextDelta("Hi")
    last = wrapped[-1]
    assert isinstance(last, (Completed, Failed))
    assert last.usage == COUNTED
    if isinstance(last, Completed):
        assert (last.remote_id, last.remote_model) == ("resp_1", "m")


@pytest.mark.parametrize(
    ("stream", "finish"),
    [
        (terminal(), Finish.STOP),
        (terminal(status="completed"), Finish.STOP),
        (terminal(status="in_progress"), Finish.STOP),
        (terminal(status=7), Finish.STOP),
        (terminal(status=["completed"]), Finish.STOP),
        (terminal(status="incomplete", incomplete_details={"reason": "content_filter"}), Finish.CONTENT_FILTER),
        (terminal("incomplete", incomplete_details={"reason": "max_output_tokens"}), Finish.LENGTH),
        (terminal("incomplete", incomplete_details={"reason": "content_filter"}), Finish.CONTENT_FILTER),
        (terminal("incomplete", incomplete_details={"reason": "steered"}), Finish.LENGTH),
        (terminal("incomplete", incomplete_details={"reason": ["x"]}), Finish.LENGTH),
        (terminal("incomplete", incomplete_details=None), Finish.LENGTH),
        (terminal("failed", error={"code": "content_filter"}), Finish.CONTENT_FILTER),
        (sent({"type": "error", "code": "content_policy_violation"}), Finish.CONTENT_FILTER),
        (terminal(output=[message({"type": "refusal", "refusal": "No."})]), Finish.CONTENT_FILTER),
        (sent({"type": "response.refusal.delta", "delta": "No."}) + terminal(), Finish.CONTENT_FILTER),
    ],
)
def test_reasons_to_finish(stream: bytes, finish: Finish) -> None:
    last = told(stream)[-1]
    assert isinstance(last, Completed)
    assert last.finish is finish


@pytest.mark.parametrize(
    ("end", "kind"),
    [
        (b"", FailureKind.INTERRUPTED),
        (b"data: [DONE]\n\n", FailureKind.INTERRUPTED),
        (terminal("failed"), FailureKind.SERVER_ERROR),
        (terminal("failed", error={"code": "rate_limit_exceeded", "message": "x"}), FailureKind.RATE_LIMITED),
        (terminal("failed", error={"code": "vector_store_timeout"}), FailureKind.TIMEOUT),
        (terminal("failed", error="boom"), FailureKind.SERVER_ERROR),
        (terminal("failed", error=7), FailureKind.SERVER_ERROR),
        (sent({"type": "response.failed", "code": "server_overloaded"}), FailureKind.OVERLOADED),
        (sent({"type": "response.failed", "response": None, "error": {"code": "429"}}), FailureKind.RATE_LIMITED),
        (
            sent({"type": "response.failed", "response": {"id": "r"}, "error": {"code": "429"}}),
            FailureKind.RATE_LIMITED,
        ),
        (terminal("cancelled"), FailureKind.SERVER_ERROR),
        (terminal(status="cancelled"), FailureKind.SERVER_ERROR),
        (terminal(status="failed", error={"code": "insufficient_quota"}), FailureKind.ACCOUNT_EXHAUSTED),
        (sent({"type": "error", "code": "context_length_exceeded", "message": "x"}), FailureKind.CONTEXT_LENGTH),
        (sent({"type": "error", "error": {"type": "overloaded_error"}}), FailureKind.OVERLOADED),
        (sent({"type": "error"}), FailureKind.SERVER_ERROR),
        (sent({"error": {"code": 503}}), FailureKind.OVERLOADED),
        (sent({"message": "x", "code": "timeout"}, "error"), FailureKind.TIMEOUT),
        (sent({"type": "invalid_request_error", "message": "x", "code": None}), FailureKind.SERVER_ERROR),
        (b"data: {oops\n\n", FailureKind.BAD_RESPONSE),
        (b'data: {"type":"response.completed","response":{"usage":NaN}}\n\n', FailureKind.BAD_RESPONSE),
        (b'data: {"type":"response.completed","response":{"usage":1e999}}\n\n', FailureKind.BAD_RESPONSE),
        (b"data: " + b"[" * 100_000 + b"\n\n", FailureKind.BAD_RESPONSE),
        (b'data: {"type":"response.completed","x":' + b"[" * 100_000 + b"\n\n", FailureKind.BAD_RESPONSE),
    ],
)
def test_what_breaks_off_keeps_the_text_so_far(end: bytes, kind: FailureKind) -> None:
    text, last = told(delta("a"), end)
    assert text == TextDelta("a")
    assert isinstance(last, Failed)
    assert last.failure.kind is kind


def test_no_sentence_of_the_remote_enters_the_detail() -> None:
    last = told(sent({"type": "error", "code": "resp_8a7b6c5d", "message": "your prompt: secret"}))[-1]
    assert isinstance(last, Failed)
    assert last.failure == ProviderFailure(kind=FailureKind.SERVER_ERROR, detail="status none error")


@pytest.mark.parametrize("given", [0, 5, True, "x", [], {}, [1], {"a": 1}, None, -(10**30), 1.5, "\x00", ""])
@pytest.mark.parametrize(
    "name",
    [
        "response.output_text.delta",
        "response.refusal.delta",
        "response.reasoning_text.delta",
        "response.output_text.annotation.added",
        "response.output_item.done",
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.file_search_call.completed",
        "response.code_interpreter_call.completed",
        "response.web_search_call.in_progress",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "response.nobody.knows",
        "error",
    ],
)
def test_members_of_any_type_raise_nothing(name: str, given: object) -> None:
    members = (
        *("delta", "item", "item_id", "output_index", "content_index", "annotation", "results", "outputs", "code"),
        *("response", "output", "usage", "status", "error", "id", "model", "incomplete_details"),
    )
    for frame in (
        {"type": name},
        {"type": name, **dict.fromkeys(members, given)},
        {"type": name, "response": dict.fromkeys(members, given), "item": dict.fromkeys([*members, "type"], given)},
        {"type": name, "item": {"type": "function_call", "name": given, "call_id": given, "arguments": given}},
        {"type": name, "item": {"type": "message", "content": [given]}, "output": [message(part(given)), given]},
        {"type": name, "annotation": {"type": "url_citation", **dict.fromkeys(["url", "title", "text"], given)}},
        {"type": name, "annotation": {"type": "file_citation", "file_id": given, "start_index": given}},
        {"type": name, "annotation": {"type": given, "file_id": given, "end_index": given}},
        {"type": name, "item": {"type": "file_search_call", "id": given, "results": [given, {"file_id": given}]}},
        {"type": name, "item": {"type": "code_interpreter_call", "outputs": [given, {"logs": given}]}},
    ):
        events = told(sent(frame))
        assert isinstance(events[-1], (Completed, Failed))
        starts = [event.key for event in tools(events) if isinstance(event, ToolStart)]
        assert len(starts) == len(set(starts))
        assert {event.key for event in tools(events)} == set(starts)
        assert not any(event == TextDelta("") for event in events)


def test_frames_that_are_no_objects_are_counted_and_skipped() -> None:
    anomalies = Anomalies()
    assert told(b"data: [1]\n\n", b"data: 7\n\n", b'data: "x"\n\n', delta("a"), terminal(), anomalies=anomalies)[
        0
    ] == TextDelta("a")
    assert anomalies[Anomaly.FRAME_NOT_OBJECT] == 3


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ([rb"\ud83d", rb"\ude00"], "😀"),
        ([rb"\ud83d"], "\ufffd"),
        ([rb"\ud83d", b"a"], "\ufffda"),
        ([rb"a\u0000b"], "ab"),
        ([b"a\xffb"], "a\ufffdb"),
        ([rb"\u0000"], ""),
    ],
)
def test_text_is_repaired(raw: list[bytes], said: str) -> None:
    frames = [b'data: {"type":"response.output_text.delta","delta":"' + piece + b'"}\n\n' for piece in raw]
    events = told(*frames, terminal())
    assert [event.text for event in events if isinstance(event, TextDelta)] == ([said] if said else [])


def test_a_stream_may_begin_anywhere_and_unknown_events_are_ignored() -> None:
    steps = [delta("a"), sent({"type": "response.audio.delta", "delta": "noise"}), sent({"type": "keepalive"})]
    assert told(*steps, sent({"type": "response.new", "code": "x"}), terminal())[:-1] == [TextDelta("a")]
    assert told(sent({"delta": "bare"}), terminal())[0] == TextDelta("bare")
    assert told(terminal(output=[message(part("a"), part("b")), message(part("c"))]))[0] == TextDelta("abc")


def test_text_that_came_stands_though_the_end_repeats_it_differently() -> None:
    anomalies = Anomalies()
    assert told(delta("a"), terminal(output=[message(part("b"))]), anomalies=anomalies)[0] == TextDelta("a")
    assert anomalies[Anomaly.TEXT_DIFFERS] == 1
    anomalies.clear()
    assert told(delta("a"), terminal(output=[message(part("a"))]), anomalies=anomalies)[0] == TextDelta("a")
    assert not anomalies


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"input_tokens": 4, "output_tokens": 3}, Usage(input_tokens=4, output_tokens=3)),
        ({"input_tokens": 4.0, "output_tokens": 3}, Usage(input_tokens=4, output_tokens=3)),
        ({"input_tokens": 4, "output_tokens": 0}, Usage(input_tokens=4)),
        ({"input_tokens": 4, "output_tokens": -1}, Usage(input_tokens=4)),
        ({"input_tokens": 4, "output_tokens": 10**18}, Usage(input_tokens=4)),
        ({"input_tokens": "4", "output_tokens": True}, None),
        ({"input_tokens": 0, "output_tokens": 0}, None),
        ({}, None),
        (None, None),
        ([4, 3], None),
        (
            {"input_tokens": 4, "output_tokens": 3, "input_tokens_details": "x", "output_tokens_details": None},
            Usage(input_tokens=4, output_tokens=3),
        ),
    ],
)
def test_usage_is_what_can_be_believed_of_it(usage: object, expected: Usage | None) -> None:
    last = told(delta("a"), terminal(usage=usage))[-1]
    assert isinstance(last, Completed)
    assert last.usage == expected


def test_remote_ids_are_short_and_plain_or_none() -> None:
    last = told(sent({"type": "response.created", "response": {"id": "x" * 500, "model": "a\nb"}}), terminal())[-1]
    assert isinstance(last, Completed)
    assert (last.remote_id, last.remote_model) == (None, None)


# Tools


def test_a_call_starts_once_and_without_ids_calls_follow_one_another() -> None:
    steps = [tool("web_search", "in_progress"), tool("web_search", "searching"), tool("web_search", "completed")]
    assert tools(told(*steps, *steps[1:], terminal())) == [
        ToolStart("web_search", ToolName.WEB_SEARCH),
        ToolDone("web_search", ToolName.WEB_SEARCH),
        ToolStart("web_search#2", ToolName.WEB_SEARCH),
        ToolDone("web_search#2", ToolName.WEB_SEARCH),
    ]


def test_calls_that_run_side_by_side_keep_their_keys() -> None:
    steps = [tool("web_search", state, item_id=item) for state in ("in_progress", "completed") for item in ("a", "b")]
    assert [(type(event), event.key) for event in tools(told(*steps, terminal()))] == [
        (ToolStart, "a"),
        (ToolStart, "b"),
        (ToolDone, "a"),
        (ToolDone, "b"),
    ]


def test_calls_of_two_kinds_under_one_id_are_two_calls() -> None:
    steps = [tool(kind, state, item_id="a") for state in ("in_progress", "completed") for kind in KINDS]
    assert [(type(event), event.key, event.name) for event in tools(told(*steps, terminal()))] == [
        (ToolStart, "a", ToolName.WEB_SEARCH),
        (ToolStart, "a#2", ToolName.FILE_SEARCH),
        (ToolDone, "a", ToolName.WEB_SEARCH),
        (ToolDone, "a#2", ToolName.FILE_SEARCH),
    ]


def test_an_id_that_is_none_is_no_key() -> None:
    for item_id in ("\ud800", "x" * 500, "a\nb", ""):
        steps = [tool("web_search", "searching", item_id=item_id), item_done("web_search_call", id=item_id)]
        assert [event.key for event in tools(told(*steps, terminal()))] == ["web_search", "web_search"]
        call = item_done("function_call", id=item_id, call_id=item_id, name="weather", arguments="{}")
        assert FunctionCall(key="call_0", name="weather", arguments="{}") in told(call, terminal())


def test_a_call_that_was_never_announced_is_a_whole_call() -> None:
    done = ToolDone("w", ToolName.WEB_SEARCH)
    assert tools(told(tool("web_search", "completed", item_id="w"), terminal()))[1] == done
    assert tools(told(item_done("web_search_call", id="w"), terminal()))[1] == done
    assert tools(told(item_done("web_search_call"), terminal())) == []


@pytest.mark.parametrize(
    ("steps", "searched"),
    [
        ([tool("file_search", "completed", results=[{"file_id": "a"}, {"file_id": "a"}, {"file_id": "b"}])], 2),
        ([tool("file_search", "completed", results=[])], 0),
        ([tool("file_search", "completed"), item_done("file_search_call", results=[{"file_id": "a"}, {}, 7])], 1),
        ([tool("file_search", "completed"), item_done("file_search_call")], 0),
        ([tool("file_search", "completed"), delta("a"), item_done("file_search_call", results=[{"file_id": "a"}])], 0),
        ([tool("file_search", "completed")], 0),
        ([tool("file_search", "completed"), item_done("file_search_call", id="f", results=[{"file_id": "a"}])], 1),
        ([tool("file_search", "searching"), item_done("file_search_call", results=[{"file_id": "a"}])], 1),
    ],
)
def test_the_files_a_search_looked_at_are_counted(steps: list[bytes], searched: int) -> None:
    assert tools(told(*steps, terminal()))[1:] == [
        ToolDone("file_search", ToolName.FILE_SEARCH, {"files_searched": searched})
    ]


@pytest.mark.parametrize(
    ("outputs", "output"),
    [
        ([{"type": "logs", "logs": "a"}, {"type": "image", "url": "x"}, {"type": "logs", "logs": "b"}], "a\nb"),
        (None, ""),
        ("x", ""),
        ([{"type": "logs", "logs": "x" * 8_192}], "x" * 8_192),
        ([{"type": "logs", "logs": "x" * 8_193}], "x" * 8_192 + "...[truncated]"),
        ([{"type": "logs", "logs": "x" * 1_000_000}], "x" * 8_192 + "...[truncated]"),
        ([{"type": "logs", "logs": "saved sandbox:/mnt/data/out.csv"}], "saved out.csv"),
        ([{"type": "logs", "logs": "open('/mnt/data/file-AbC1234567')"}], "open('[id]')"),
        ([{"type": "logs", "logs": "file-format call_center run_2 a\x00b"}], "file-format call_center run_2 ab"),
        ([{"type": "logs", "logs": "file-" * 100_000}], ("file-" * 100_000)[:8_192] + "...[truncated]"),
    ],
)
def test_what_a_program_printed_is_shown_without_the_remotes_things(outputs: object, output: str) -> None:
    steps = [tool("code_interpreter", "completed", item_id="c")]
    steps.append(item_done("code_interpreter_call", id="c", outputs=outputs))
    assert tools(told(*steps, terminal()))[1] == ToolDone("c", ToolName.CODE_INTERPRETER, {"output": output})


def test_a_function_call_is_told_once_and_gathers_its_arguments() -> None:
    pieces = [
        sent({"type": "response.function_call_arguments.delta", "item_id": "f", "delta": piece}) for piece in ("{", "}")
    ]
    item: Members = {"type": "function_call", "id": "f", "call_id": "call_9", "name": "weather"}
    done = item_done("function_call", **{name: value for name, value in item.items() if name != "type"})
    events = told(*pieces, done, terminal(output=[item]))
    assert [event for event in events if isinstance(event, FunctionCall)] == [
        FunctionCall(key="call_0", name="weather", arguments="{}")
    ]
    assert [event for event in told(terminal(output=[item])) if isinstance(event, FunctionCall)] == [
        FunctionCall(key="call_0", name="weather", arguments="")
    ]


@pytest.mark.parametrize(
    ("item", "anomaly"),
    [
        ({"name": "delete_everything", "call_id": "c", "arguments": "{}"}, Anomaly.UNOFFERED_TOOL_CALL),
        ({"call_id": "c", "arguments": "{}"}, Anomaly.UNOFFERED_TOOL_CALL),
        ({"name": "weather", "call_id": "c", "arguments": "x" * 65_537}, Anomaly.EXCESSIVE_TOOL_CALL),
    ],
)
def test_calls_of_what_was_not_offered_or_is_too_large_are_counted_and_ignored(item: Members, anomaly: Anomaly) -> None:
    anomalies = Anomalies()
    assert len(told(item_done("function_call", **item), terminal(), anomalies=anomalies)) == 1
    assert anomalies == {anomaly: 1}


# Citations


def test_places_are_shifted_by_the_text_before_their_part() -> None:
    web = url_citation("https://example.org", "T", 0, 2)
    steps = [delta("ab"), delta("cd", (0, 1)), annotated(web, (0, 1)), terminal()]
    assert citations(told(*steps))[0].span == Span(start=2, end=4)
    parts = [message(part("ab"), part("cd", web))]
    assert citations(told(terminal(output=parts)))[0].span == Span(start=2, end=4)
    assert citations(told(*steps[:-1], terminal(output=parts))) == citations(told(*steps))


def test_a_citation_of_text_to_come_waits_for_it() -> None:
    web = url_citation("https://example.org", "T", 0, 2)
    events = told(annotated(web), delta("ab"), terminal())
    assert [type(event) for event in events] == [TextDelta, CitationFound, Completed]
    assert citations(events)[0].span == Span(start=0, end=2)
    assert citations(told(annotated(web), delta("a"), terminal()))[0].span is None
    assert citations(told(annotated(web), delta("ab"))) != []


@pytest.mark.parametrize(
    ("annotation", "snippet"),
    [
        ({**file_citation("file-1"), "text": "quoted"}, "quoted"),
        (file_citation("file-1"), "passage"),
        ({"type": "container_file_citation", "file_id": "file-1", "start_index": 0, "end_index": 2}, "passage"),
    ],
)
def test_a_file_of_ours_is_cited_by_our_name(annotation: Members, snippet: str) -> None:
    found = tool("file_search", "completed", results=[{"file_id": "file-1", "text": "passage"}])
    cited = citations(told(found, delta("ab"), annotated(annotation), terminal()))
    assert [(one.title, one.attachment_id, one.snippet, one.url) for one in cited] == [
        ("report.pdf", "a-1", snippet, None)
    ]


@pytest.mark.parametrize(
    "annotation",
    [
        file_citation("file-2"),
        {"type": "container_file_citation", "file_id": "cfile_9", "start_index": 0, "end_index": 1},
        {"type": "file_path", "file_id": "file-1", "index": 0},
        url_citation("javascript:alert(1)", "T", 0, 1),
        {"type": "file_citation", "file_id": ["file-1"]},
        {},
    ],
)
def test_what_may_not_be_cited_is_dropped(annotation: Members) -> None:
    assert citations(told(delta("ab"), annotated(annotation), terminal(output=[message(part("ab", annotation))]))) == []


def test_passages_that_come_with_the_end_are_snippets_too() -> None:
    found = {"type": "file_search_call", "results": [{"file_id": "file-1", "text": "passage"}]}
    cited = citations(told(terminal(output=[found, message(part("ab", file_citation("file-1")))])))
    assert [one.snippet for one in cited] == ["passage"]
    early = {**file_citation("file-1"), "start_index": 0, "end_index": 2}
    cited = citations(told(annotated(early), delta("ab"), terminal(output=[found])))
    assert [one.snippet for one in cited] == ["passage"]


def test_there_is_an_end_to_what_an_answer_cites() -> None:
    many = [annotated(url_citation(f"https://example.org/{number}", "T", 0, 2)) for number in range(300)]
    assert len(citations(told(delta("ab"), *many, terminal()))) == 50
    assert len(citations(told(*many, delta("ab"), terminal()))) == 50


def test_a_failure_of_ours_keeps_what_was_held_back() -> None:
    answering = translator()
    for data in (
        b'{"type":"response.output_text.delta","delta":"\\ud83d"}',
        b'{"type":"response.web_search_call.searching"}',
    ):
        answering.on_frame(Frame("", data))
    events = answering.on_failure(ProviderFailure(kind=FailureKind.TIMEOUT))
    assert [type(event) for event in events] == [TextDelta, Failed]

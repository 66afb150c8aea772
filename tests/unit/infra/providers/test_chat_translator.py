"""Bytes of a chat completion stream to events, the same whether they come whole, by three or one by one."""

import json

import pytest

from domain.providers.errors import FailureKind
from domain.providers.events import (
    Completed,
    Failed,
    Finish,
    FunctionCall,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolDone,
    ToolStart,
    Usage,
)
from infra.providers.adapters.openai_chat.translator import ChatTranslator
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.settings import ThinkTags
from infra.providers.sse_decoder import SseDecoder
from tests.harness.wire_shapes import cut, events_of

DONE = b"data: [DONE]\n\n"
SIZES = (1, 3, 1_000_000)


def sent(data: object) -> bytes:
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def delta(**members: object) -> bytes:
    return sent({"choices": [{"index": 0, "delta": members}]})


def finish(reason: object) -> bytes:
    return sent({"choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})


def raw(content: bytes) -> bytes:
    return b'data: {"choices":[{"delta":{"content":"' + content + b'"}}]}\n\n'


def translated(
    stream: bytes, size: int, think: ThinkTags = ThinkTags.OFF, offered: frozenset[str] = frozenset()
) -> tuple[str, str, ProviderEvent, Anomalies]:
    anomalies = Anomalies()
    events = events_of(ChatTranslator(think, offered, anomalies), cut(stream, size))
    said = "".join(event.text for event in events if isinstance(event, TextDelta))
    thought = "".join(event.text for event in events if isinstance(event, ReasoningDelta))
    assert all(event.text for event in events if isinstance(event, (TextDelta, ReasoningDelta)))
    return said, thought, events[-1], anomalies


USAGE = sent({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 2}})
COUNTED = Usage(input_tokens=5, output_tokens=2)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("stream", "said", "thought", "terminal"),
    [
        (delta(content="a") + delta(content="b") + finish("stop") + DONE, "ab", "", Completed(finish=Finish.STOP)),
        (delta(content="a") + finish("stop") + USAGE + DONE, "a", "", Completed(finish=Finish.STOP, usage=COUNTED)),
        (delta(content="a") + finish("length"), "a", "", Completed(finish=Finish.LENGTH)),
        (delta(content="a") + finish("sensitive") + DONE, "a", "", Completed(finish=Finish.CONTENT_FILTER)),
        (delta(content="a") + finish("tool_calls") + DONE, "a", "", Completed(finish=Finish.STOP)),
        (delta(content="a") + DONE, "a", "", Completed(finish=Finish.STOP)),
        (delta(role="assistant", content="") + delta(content=None) + DONE, "", "", Completed(finish=Finish.STOP)),
        (delta(refusal="No.") + finish("stop") + DONE, "No.", "", Completed(finish=Finish.CONTENT_FILTER)),
        (delta(reasoning_content="hm") + delta(content="a") + DONE, "a", "hm", Completed(finish=Finish.STOP)),
        (delta(reasoning="hm") + delta(content="a") + DONE, "a", "hm", Completed(finish=Finish.STOP)),
        (
            delta(content=[{"type": "text", "text": "a"}, {"text": "b"}, 7]) + DONE,
            "ab",
            "",
            Completed(finish=Finish.STOP),
        ),
        (sent({"choices": [{"index": 1, "delta": {"content": "x"}}]}) + DONE, "", "", Completed(finish=Finish.STOP)),
        (sent({"choices": None}) + sent({}) + sent([1]) + DONE, "", "", Completed(finish=Finish.STOP)),
        (
            sent({"choices": [{"index": None, "delta": {"content": "a", "role": 5}}]}) + DONE,
            "a",
            "",
            Completed(finish=Finish.STOP),
        ),
        (raw(rb"\ud83d") + raw(rb"\ude00") + DONE, "😀", "", Completed(finish=Finish.STOP)),
        (raw(rb"\ud83d") + finish("stop") + DONE, "\ufffd", "", Completed(finish=Finish.STOP)),
        (raw(b"a\xffb") + DONE, "a\ufffdb", "", Completed(finish=Finish.STOP)),
        (raw("größe €😀".encode()) + DONE, "größe €😀", "", Completed(finish=Finish.STOP)),
        (raw(rb"a\u0000b") + DONE, "ab", "", Completed(finish=Finish.STOP)),
    ],
)
def test_chunks_become_events(size: int, stream: bytes, said: str, thought: str, terminal: Completed) -> None:
    assert translated(stream, size)[:3] == (said, thought, terminal)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    ("stream", "kind"),
    [
        (delta(content="a"), FailureKind.INTERRUPTED),
        (delta(content="a") + finish("abort"), FailureKind.SERVER_ERROR),
        (delta(content="a") + b"data: {oops\n\n", FailureKind.BAD_RESPONSE),
        (delta(content="a") + b'data: {"usage":NaN}\n\n', FailureKind.BAD_RESPONSE),
        (delta(content="a") + b'data: {"usage":1e999}\n\n', FailureKind.BAD_RESPONSE),
        (delta(content="a") + b"data: " + b"[" * 100_000 + b"\n\n", FailureKind.BAD_RESPONSE),
        (delta(content="a") + sent({"error": {"code": 429, "message": "slow"}}), FailureKind.RATE_LIMITED),
        (delta(content="a") + sent({"error": {"code": "503"}}), FailureKind.OVERLOADED),
        (delta(content="a") + sent({"error": "boom"}), FailureKind.SERVER_ERROR),
        (delta(content="a") + sent({"error": True}), FailureKind.SERVER_ERROR),
        (delta(content="a") + sent({"error": {"type": "overloaded_error"}}), FailureKind.OVERLOADED),
        (delta(content="a") + b'event: error\ndata: {"message":"x","code":"timeout"}\n\n', FailureKind.TIMEOUT),
        (delta(content="a") + b"event: error\ndata: {}\n\n", FailureKind.SERVER_ERROR),
        (delta(content="a") + b'event: error\ndata: "the engine is gone"\n\n', FailureKind.SERVER_ERROR),
        (delta(content="a") + sent({"object": "error", "code": 429, "message": "slow"}), FailureKind.RATE_LIMITED),
        (delta(content="a") + sent({"error": {"code": "insufficient_quota"}}), FailureKind.ACCOUNT_EXHAUSTED),
        (delta(content="a") + b'data: {"error":{"code":429},"x":1e999}\n\n', FailureKind.BAD_RESPONSE),
        (delta(content="a") + finish("network_error"), FailureKind.SERVER_ERROR),
        (delta(content="a") + finish("error"), FailureKind.SERVER_ERROR),
        (delta(content="a") + finish("insufficient_system_resource"), FailureKind.SERVER_ERROR),
    ],
)
def test_what_breaks_off_keeps_the_text_so_far(size: int, stream: bytes, kind: FailureKind) -> None:
    said, _, terminal, _ = translated(stream, size)
    assert isinstance(terminal, Failed)
    assert (said, terminal.failure.kind) == ("a", kind)


def test_a_filtered_answer_is_no_failure() -> None:
    stream = delta(content="a") + sent({"error": {"code": "content_filter"}})
    assert translated(stream, 1)[:3] == ("a", "", Completed(finish=Finish.CONTENT_FILTER))


@pytest.mark.parametrize("size", SIZES)
def test_think_tags_are_split_and_what_was_held_back_comes_before_the_end(size: int) -> None:
    stream = delta(content="<thi") + delta(content="nk>hm</think>") + delta(content="a<") + finish("stop") + DONE
    assert translated(stream, size, ThinkTags.ANYWHERE)[:2] == ("a<", "hm")


def test_think_tags_are_text_once_the_server_separates_reasoning_itself() -> None:
    stream = delta(reasoning_content="hm") + delta(content="<think>") + DONE
    assert translated(stream, 1, ThinkTags.LEADING)[:2] == ("<think>", "hm")


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 5, "completion_tokens": 2}, COUNTED),
        ({"prompt_tokens": 5.0, "completion_tokens": 2}, COUNTED),
        ({"prompt_tokens": 5}, Usage(input_tokens=5)),
        ({"prompt_tokens": 5, "completion_tokens": 0}, Usage(input_tokens=5)),
        ({"prompt_tokens": 5, "completion_tokens": -2}, Usage(input_tokens=5)),
        ({"prompt_tokens": 5, "completion_tokens": 10**18}, Usage(input_tokens=5)),
        ({"prompt_tokens": "5", "completion_tokens": True}, None),
        ({"prompt_tokens": 0, "completion_tokens": 0}, None),
        ({}, None),
        (
            {
                "prompt_tokens": 5,
                "completion_tokens": 2,
                "prompt_tokens_details": {"cached_tokens": 4},
                "completion_tokens_details": {"reasoning_tokens": 1},
            },
            Usage(input_tokens=5, output_tokens=2, cache_read_tokens=4, reasoning_tokens=1),
        ),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": "x"}, COUNTED),
    ],
)
def test_only_plausible_usage_counts(usage: dict[str, object], expected: Usage | None) -> None:
    stream = delta(content="a") + finish("stop") + sent({"choices": [], "usage": usage}) + DONE
    assert translated(stream, 1)[2] == Completed(finish=Finish.STOP, usage=expected)


def test_the_last_usage_wins_and_survives_a_failure() -> None:
    stream = sent({"usage": {"prompt_tokens": 5, "completion_tokens": 1}}) + USAGE + delta(content="a")
    terminal = translated(stream, 1)[2]
    assert isinstance(terminal, Failed)
    assert terminal.usage == COUNTED


def test_an_empty_count_is_none_and_the_real_one_is_waited_for() -> None:
    last = sent({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": {}})
    terminal = translated(delta(content="a") + last + USAGE + DONE, 1)[2]
    assert terminal == Completed(finish=Finish.STOP, usage=COUNTED)


@pytest.mark.parametrize(
    ("stream", "anomaly"),
    [
        (
            delta(tool_calls=[{"index": 0, "function": {"name": "../etc", "arguments": "{"}}]),
            Anomaly.UNOFFERED_TOOL_CALL,
        ),
        (finish("because"), Anomaly.UNKNOWN_FINISH),
        (delta(content="a"), Anomaly.MISSING_FINISH),
        (sent(7), Anomaly.FRAME_NOT_OBJECT),
        (raw(b"\xff"), Anomaly.INVALID_UTF8),
        (finish("stop") + sent({"usage": {"prompt_tokens": -1}}), Anomaly.INVALID_USAGE),
    ],
)
def test_what_is_survivable_is_counted(stream: bytes, anomaly: Anomaly) -> None:
    _, _, terminal, anomalies = translated(stream + DONE, 1)
    assert isinstance(terminal, Completed)
    assert anomalies[anomaly] == 1


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        ("stop", Finish.STOP),
        ("eos", Finish.STOP),
        ("end_turn", Finish.STOP),
        ("stop_sequence", Finish.STOP),
        ("tool_calls", Finish.STOP),
        ("function_call", Finish.STOP),
        ("length", Finish.LENGTH),
        ("max_tokens", Finish.LENGTH),
        ("model_length", Finish.LENGTH),
        ("content_filter", Finish.CONTENT_FILTER),
        ("sensitive", Finish.CONTENT_FILTER),
        ("safety", Finish.CONTENT_FILTER),
    ],
)
def test_each_known_reason_has_its_finish_and_is_nothing_odd(reason: str, expected: Finish) -> None:
    _, _, terminal, anomalies = translated(delta(content="a") + finish(reason), 1)
    assert (terminal, anomalies) == (Completed(finish=expected), Anomalies())


def test_what_the_remote_calls_its_answer_is_kept_once_it_is_known() -> None:
    first = sent({"id": "", "model": "", "choices": []})
    second = sent({"id": "chatcmpl-9", "model": "gpt-x-2026", "choices": []})
    third = sent({"id": "chatcmpl-other", "model": "other", "choices": []})
    terminal = translated(first + second + third + DONE, 1)[2]
    assert terminal == Completed(finish=Finish.STOP, remote_id="chatcmpl-9", remote_model="gpt-x-2026")


@pytest.mark.parametrize("name", [None, 7, "", "a\nb", "x" * 201, "ünicode"])
def test_a_name_that_fits_no_column_is_not_kept(name: object) -> None:
    assert translated(sent({"id": name, "model": name}) + DONE, 1)[2] == Completed(finish=Finish.STOP)


def test_a_refusal_is_said_even_while_the_model_seems_to_think() -> None:
    said, thought, terminal, _ = translated(delta(content="hm<") + delta(refusal="No.") + DONE, 1, ThinkTags.PREOPENED)
    assert (said, thought, terminal) == ("No.", "hm<", Completed(finish=Finish.CONTENT_FILTER))


CALL = delta(tool_calls=[{"index": 0, "id": "call_a", "function": {"name": "weather", "arguments": "{}"}}])


def calls(stream: bytes) -> list[str]:
    events = events_of(ChatTranslator(ThinkTags.OFF, frozenset({"weather"}), Anomalies()), cut(stream, 3))
    return [type(event).__name__ for event in events if isinstance(event, (ToolStart, ToolDone, FunctionCall))]


@pytest.mark.parametrize(
    "ending", [finish("tool_calls") + DONE, finish("stop") + DONE, DONE, finish("tool_calls") + USAGE]
)
def test_a_call_is_asked_for_when_the_model_has_finished_with_it(ending: bytes) -> None:
    assert calls(CALL + ending) == ["ToolStart", "ToolDone", "FunctionCall"]


def test_the_reason_to_finish_ends_the_calls_though_the_count_is_still_to_come() -> None:
    translator = ChatTranslator(ThinkTags.OFF, frozenset({"weather"}), Anomalies())
    frames = SseDecoder().feed(CALL + finish("tool_calls"))
    told = [type(event).__name__ for frame in frames for event in translator.on_frame(frame)]
    assert told == ["ToolStart", "ToolDone", "FunctionCall"]


def test_a_call_is_output_so_nothing_is_no_count_of_it() -> None:
    nothing = sent({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}})
    terminal = translated(CALL + finish("tool_calls") + nothing + DONE, 1, offered=frozenset({"weather"}))[2]
    assert terminal == Completed(finish=Finish.STOP, usage=Usage(input_tokens=5))

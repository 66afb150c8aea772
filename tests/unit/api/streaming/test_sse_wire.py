"""The bytes of a stream, against the examples of api.md 4.9 and their lengths."""

import json
from collections.abc import Sequence
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.streaming.sse_wire import COMMENT, frame, frames, ping
from domain.providers.events import Citation, Span
from domain.streaming.events import (
    NAMES,
    Citations,
    Delta,
    Done,
    Numbered,
    StreamEvent,
    StreamStarted,
    SummaryApplied,
    Timing,
    TokenUsage,
    Tool,
)
from domain.streaming.failures import turn_error

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
STARTED_LINE = (
    'id: 1␊event: stream_started␊data: {"request_id":"0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01",'
    '"message_id":"0198c0de-7a11-7d40-8c2e-6e3b5f708b12","is_new_turn":true}␊␊'
)
STARTED = StreamStarted(
    request_id="0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01",
    message_id="0198c0de-7a11-7d40-8c2e-6e3b5f708b12",
    is_new_turn=True,
)
CITATIONS = Citations(
    (
        Citation(
            source="web",
            title="Tides",
            url="https://example.org/tides",
            snippet="High water at 14:05.",
            span=Span(start=0, end=22),
        ),
    )
)
DONE_NORMAL = Done(
    usage=TokenUsage(input_tokens=812, output_tokens=5),
    effective_model="aurora-large",
    selected_model="aurora-large",
    quota_decision="allow",
    quota_warnings=(),
    finish_reason="stop",
    timing=Timing(ttft_ms=15420, total_ms=15610),
)
DONE_TOOL = Done(
    usage=TokenUsage(input_tokens=2310, output_tokens=9),
    effective_model="aurora-mini",
    selected_model="aurora-large",
    quota_decision="downgrade",
    downgrade_from="aurora-large",
    downgrade_reason="premium_quota_exhausted",
    quota_warnings=(),
    finish_reason="stop",
    timing=Timing(ttft_ms=17802, total_ms=18344),
)
THROTTLED = turn_error("rate_limited", TRACE_ID, retryable=True, retry_after_ms=2000)
CANCELLED = turn_error("turn_cancelled", TRACE_ID, retryable=False)

Line = tuple[bytes, int, str]
EXAMPLES: dict[str, list[Line]] = {
    # Quota warnings come with the quota; the frame of the example is 344 bytes long with the one it shows.
    "normal": [
        (frame(1, STARTED), 160, STARTED_LINE),
        (ping(1), 28, "id: 1␊event: ping␊data: {}␊␊"),
        (
            frame(2, Delta("text", "Déjà ")),
            62,
            'id: 2␊event: delta␊data: {"type":"text","content":"Déjà "}␊␊',
        ),
        (
            frame(3, Delta("text", "vu.\n")),
            60,
            'id: 3␊event: delta␊data: {"type":"text","content":"vu.\\n"}␊␊',
        ),
        (
            frame(4, DONE_NORMAL),
            344 - len('{"tier":"total","period":"daily","remaining_percentage":97,"warning":false,"exhausted":false}'),
            (
                'id: 4␊event: done␊data: {"usage":{"input_tokens":812,"output_tokens":5},'
                '"effective_model":"aurora-large","selected_model":"aurora-large","quota_decision":"allow","quota_warnings":[],"finish_reason":"stop",'
                '"timing":{"ttft_ms":15420,"total_ms":15610}}␊␊'
            ),
        ),
    ],
    "tool": [
        (frame(1, STARTED), 160, STARTED_LINE),
        (
            frame(2, Tool(phase="start", name="web_search", details={})),
            76,
            'id: 2␊event: tool␊data: {"phase":"start","name":"web_search","details":{}}␊␊',
        ),
        (COMMENT, 8, ": ping␊␊"),
        (
            frame(3, Tool(phase="done", name="web_search", details={})),
            75,
            'id: 3␊event: tool␊data: {"phase":"done","name":"web_search","details":{}}␊␊',
        ),
        (
            frame(4, Delta("text", "High tide is ")),
            68,
            'id: 4␊event: delta␊data: {"type":"text","content":"High tide is "}␊␊',
        ),
        (
            frame(5, Delta("text", "at 14:05.")),
            64,
            'id: 5␊event: delta␊data: {"type":"text","content":"at 14:05."}␊␊',
        ),
        (
            frame(6, CITATIONS),
            170,
            (
                'id: 6␊event: citations␊data: {"items":[{"source":"web","title":"Tides",'
                '"url":"https://example.org/tides","snippet":"High water at 14:05.","span":{"start":0,"end":22}}]}␊␊'
            ),
        ),
        (
            frame(7, DONE_TOOL),
            332,
            (
                'id: 7␊event: done␊data: {"usage":{"input_tokens":2310,"output_tokens":9},'
                '"effective_model":"aurora-mini","selected_model":"aurora-large","quota_decision":"downgrade","downgrade_from":"aurora-large",'
                '"downgrade_reason":"premium_quota_exhausted","quota_warnings":[],"finish_reason":"stop",'
                '"timing":{"ttft_ms":17802,"total_ms":18344}}␊␊'
            ),
        ),
    ],
    "failed": [
        (frame(1, STARTED), 160, STARTED_LINE),
        (
            frame(2, THROTTLED),
            188,
            (
                'id: 2␊event: error␊data: {"code":"rate_limited","message":"The model provider is limiting requests.",'
                '"retryable":true,"retry_after_ms":2000,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}␊␊'
            ),
        ),
    ],
    "cancelled": [
        (frame(1, STARTED), 160, STARTED_LINE),
        (
            frame(2, Delta("text", "One, two")),
            63,
            'id: 2␊event: delta␊data: {"type":"text","content":"One, two"}␊␊',
        ),
        (
            frame(3, CANCELLED),
            152,
            (
                'id: 3␊event: error␊data: {"code":"turn_cancelled","message":"The turn was cancelled.",'
                '"retryable":false,"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}␊␊'
            ),
        ),
    ],
}
SUMMARISED = StreamStarted(
    request_id=STARTED.request_id,
    message_id=STARTED.message_id,
    is_new_turn=False,
    thread_summary_applied=SummaryApplied(8_192),
)


def test_a_summary_in_the_context_is_told_at_the_start_within_the_bound_of_the_frame() -> None:
    told = frame(1, SUMMARISED)
    assert b'"is_new_turn":false,"thread_summary_applied":{"token_estimate":8192}}\n\n' in told
    assert len(told) <= 215


LINES = [(name, number, *line) for name, lines in EXAMPLES.items() for number, line in enumerate(lines)]


@pytest.mark.parametrize(("name", "number", "sent", "length", "line"), LINES)
def test_a_frame_is_that_of_the_example_to_the_byte(
    name: str, number: int, sent: bytes, length: int, line: str
) -> None:
    assert sent.decode() == line.replace("␊", "\n"), (name, number)
    assert len(sent) == length


def test_the_third_frame_of_the_first_example_is_this_in_hex() -> None:
    expected = (
        "69 64 3a 20 32 0a 65 76 65 6e 74 3a 20 64 65 6c 74 61 0a 64 61 74 61 3a 20 7b 22 74 79 70 65 22 3a 22 74 65 78"
        " 74 22 2c 22 63 6f 6e 74 65 6e 74 22 3a 22 44 c3 a9 6a c3 a0 20 22 7d 0a 0a"
    )
    assert frame(2, Delta("text", "Déjà ")).hex(" ") == expected
    assert COMMENT.hex(" ") == "3a 20 70 69 6e 67 0a 0a"


@pytest.mark.parametrize(("is_new_turn", "length"), [(True, 160), (False, 161)])
def test_the_first_frame_stays_below_its_limit(*, is_new_turn: bool, length: int) -> None:
    started = msgspec.structs.replace(STARTED, is_new_turn=is_new_turn)
    assert len(frame(1, started)) == length < 190


def test_waiting_events_leave_in_one_piece() -> None:
    events: Sequence[Numbered] = [(1, STARTED), (2, Delta("text", "a")), (3, CANCELLED)]
    assert frames(events) == b"".join(frame(number, event) for number, event in events)
    assert frames([]) == b""


def test_every_event_has_a_name() -> None:
    assert set(NAMES) == set(get_args(StreamEvent))


TEXTS = st.text() | st.text(alphabet='\r\n\x00\x1c\x1d\x85\u2028\u2029\ufeff:{}" ')


def parsed(sent: bytes) -> tuple[str, str, object]:
    assert b"\r" not in sent
    assert sent.endswith(b"\n\n")
    assert sent.count(b"\n\n") == 1
    number, name, data = sent[:-2].decode().split("\n")
    assert (number[:4], name[:7], data[:6]) == ("id: ", "event: ", "data: ")
    return number[4:], name[7:], json.loads(data[6:])


@given(text=TEXTS, number=st.integers(min_value=1, max_value=2**31 - 1))
def test_any_text_is_one_frame_of_three_lines_that_reads_back(text: str, number: int) -> None:
    assert parsed(frame(number, Delta("text", text))) == (str(number), "delta", {"type": "text", "content": text})


@given(snippet=TEXTS, title=TEXTS, name=TEXTS)
def test_any_text_of_a_source_or_tool_stays_in_its_frame(snippet: str, title: str, name: str) -> None:
    citation = Citation(source="web", title=title, snippet=snippet)
    _, _, data = parsed(frame(2, Citations((citation,))))
    assert data == {"items": [{"source": "web", "title": title, "snippet": snippet}]}
    _, _, data = parsed(frame(3, Tool(phase="done", name=name, details={"output": snippet})))
    assert data == {"phase": "done", "name": name, "details": {"output": snippet}}

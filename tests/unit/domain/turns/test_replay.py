"""A turn told again from its rows (api.md 4.5), to the byte of the example REPLAYED in 4.9."""

from datetime import UTC, datetime
from uuid import UUID

import pytest
from msgspec.structs import replace

from api.streaming.sse_wire import frame
from domain.ids import ChatId, MessageId, RequestId, TurnId
from domain.messages.models import Message, Role
from domain.providers.events import Citation, Finish, Span
from domain.streaming.events import Delta, Done, StreamStarted
from domain.streaming.failures import turn_error
from domain.turns.models import StoredAnswer, StoredFailure, TurnState, TurnStatus
from domain.turns.replay import replayed, replayed_failure, rest_after

REQUEST_ID = RequestId(UUID("0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01"))
CITATION = Citation(
    source="web",
    title="Tides",
    url="https://example.org/tides",
    snippet="High water at 14:05.",
    span=Span(start=0, end=22),
)
MESSAGE = Message(
    id=MessageId(UUID("0198c0de-7a11-7d40-8c2e-6e3b5f708b12")),
    request_id=REQUEST_ID,
    seq=2,
    role=Role.ASSISTANT,
    content="High tide is at 14:05.",
    is_partial=False,
    model="aurora-mini",
    finish_reason=Finish.STOP,
    citations=(CITATION,),
    created_at=datetime(2026, 1, 1, tzinfo=UTC),
)
ANSWER = StoredAnswer(
    request_id=REQUEST_ID,
    chat_id=ChatId(UUID(int=1)),
    user_message_id=MessageId(UUID(int=2)),
    message=MESSAGE,
    selected_model="aurora-large",
    effective_model="aurora-mini",
    quota_decision="downgrade",
    downgrade_reason="premium_quota_exhausted",
    finish=Finish.STOP,
    input_tokens=2310,
    output_tokens=9,
    ttft_ms=17802,
    total_ms=18344,
    last_number=7,
)
EXAMPLE = [
    (
        'id: 1␊event: stream_started␊data: {"request_id":"0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01",'
        '"message_id":"0198c0de-7a11-7d40-8c2e-6e3b5f708b12","is_new_turn":false}␊␊'
    ),
    'id: 5␊event: delta␊data: {"type":"text","content":"High tide is at 14:05."}␊␊',
    (
        'id: 6␊event: citations␊data: {"items":[{"source":"web","title":"Tides","url":"https://example.org/tides",'
        '"snippet":"High water at 14:05.","span":{"start":0,"end":22}}]}␊␊'
    ),
    (
        'id: 7␊event: done␊data: {"usage":{"input_tokens":2310,"output_tokens":9},"effective_model":"aurora-mini",'
        '"selected_model":"aurora-large","quota_decision":"downgrade","downgrade_from":"aurora-large",'
        '"downgrade_reason":"premium_quota_exhausted","quota_warnings":[],"finish_reason":"stop",'
        '"timing":{"ttft_ms":17802,"total_ms":18344}}␊␊'
    ),
]


def test_a_replay_is_that_of_the_example_to_the_byte() -> None:
    sent = [frame(number, event) for number, event in replayed(ANSWER)]
    assert [each.decode() for each in sent] == [line.replace("␊", "\n") for line in EXAMPLE]
    assert [len(each) for each in sent] == [161, 77, 170, 332]
    assert sum(map(len, sent)) == 740


def test_a_replay_without_citations_numbers_the_text_right_before_the_terminal() -> None:
    told = replayed(replace(ANSWER, message=replace(MESSAGE, citations=())))
    assert [number for number, _ in told] == [1, 6, 7]


def test_a_replay_without_text_has_no_delta() -> None:
    told = replayed(replace(ANSWER, message=replace(MESSAGE, content="", citations=())))
    assert [(number, type(event)) for number, event in told] == [(1, StreamStarted), (7, Done)]


def test_a_replay_of_a_turn_that_was_not_downgraded_says_nothing_of_it() -> None:
    _, done = replayed(replace(ANSWER, quota_decision="allow", downgrade_reason=None))[-1]
    assert isinstance(done, Done)
    assert (done.downgrade_from, done.downgrade_reason) == (None, None)


STATUS = TurnStatus(
    id=TurnId(UUID(int=3)),
    chat_id=ChatId(UUID(int=1)),
    request_id=REQUEST_ID,
    state=TurnState.FAILED,
    error_code="rate_limited",
    finish=None,
    effective_model="aurora-mini",
    planned_message_id=MESSAGE.id,
    assistant_message_id=None,
    owner_id=None,
    owner_epoch=1,
    trace_id="4bf92f3577b34da6a3ce929d0e0e4736",
    last_number=9,
    created_at=MESSAGE.created_at,
    updated_at=MESSAGE.created_at,
)
FAILURE = StoredFailure(text="One, two", citations=(), retryable=True, retry_after_ms=2000, last_number=9)


def test_a_failed_turn_is_told_with_its_text_and_the_error_it_ended_with() -> None:
    assert replayed_failure(STATUS, FAILURE) == [
        (1, StreamStarted(request_id=str(REQUEST_ID), message_id=str(MESSAGE.id), is_new_turn=False)),
        (8, Delta("text", "One, two")),
        (9, turn_error("rate_limited", STATUS.trace_id, retryable=True, retry_after_ms=2000)),
    ]


def test_a_cancelled_turn_that_had_said_nothing_is_told_as_cancelled() -> None:
    status = replace(STATUS, state=TurnState.CANCELLED, error_code=None)
    failure = replace(FAILURE, text="", retryable=False, retry_after_ms=None)
    told = replayed_failure(status, failure)
    assert told[1:] == [(9, turn_error("turn_cancelled", STATUS.trace_id, retryable=False))]


# The example REPLAYED has N = 7 and d = 5: stream_started is 1, the delta 5, citations 6, done 7.
RESTS = [
    (0, [1, 5, 6, 7]),
    (1, [5, 6, 7]),
    (2, [1, 5, 6, 7]),
    (4, [1, 5, 6, 7]),
    (5, [6, 7]),
    (6, [7]),
    (7, []),
    (99, []),
]


@pytest.mark.parametrize(("position", "numbers"), RESTS)
def test_the_rest_of_a_finished_turn_is_that_of_the_table(position: int, numbers: list[int]) -> None:
    assert [number for number, _ in rest_after(position, replayed(ANSWER))] == numbers


@pytest.mark.parametrize(("position", "numbers"), [(0, [1, 7]), (1, [7]), (2, [1, 7]), (6, [1, 7]), (7, [])])
def test_without_text_the_end_stands_for_it(position: int, numbers: list[int]) -> None:
    told = replayed(replace(ANSWER, message=replace(MESSAGE, content="", citations=())))
    assert [number for number, _ in rest_after(position, told)] == numbers


def test_nothing_is_left_of_a_turn_that_is_not_told() -> None:
    assert rest_after(0, ()) == ()

"""Calls of functions come in pieces, and not every server cuts and numbers them the same way."""

import json

import pytest

from domain.providers.events import FunctionCall, ProviderEvent, ToolDone, ToolStart
from infra.providers.adapters.openai_chat.tool_calls import ToolCalls
from infra.providers.anomalies import Anomalies, Anomaly
from infra.providers.function_call import MOST_ARGUMENT_CHARS, MOST_CALLS

OFFERED = frozenset({"weather", "time"})
ARGUMENTS = '{"city":"Łódź"}'


def piece(index: object = 0, id_: object = None, name: object = None, arguments: object = None) -> dict[str, object]:
    members = {"index": index, "id": id_, "function": {"name": name, "arguments": arguments}}
    return {key: value for key, value in members.items() if value is not None}


def told(*deltas: list[object]) -> tuple[list[ToolStart], list[ProviderEvent], Anomalies]:
    anomalies = Anomalies()
    calls = ToolCalls(OFFERED, anomalies)
    starts = [start for delta in deltas for start in calls.feed(delta)]
    return starts, calls.close(), anomalies


def asked(events: list[ProviderEvent]) -> list[tuple[str, str, str]]:
    return [(event.key, event.name, event.arguments) for event in events if isinstance(event, FunctionCall)]


def test_a_call_begins_with_its_name_and_is_done_with_all_its_arguments() -> None:
    starts, ends, _ = told(
        [piece(0, "call_a", "weather", "")], [piece(0, arguments=ARGUMENTS[:5])], [piece(0, arguments=ARGUMENTS[5:])]
    )
    assert [(start.key, start.details) for start in starts] == [
        ("call_0", {"index": 0, "call_id": "call_0", "name": "weather"})
    ]
    done, call = ends
    assert isinstance(done, ToolDone)
    assert (done.key, done.details) == ("call_0", {"call_id": "call_0", "name": "weather", "arguments": ARGUMENTS})
    assert call == FunctionCall(key="call_0", name="weather", arguments=ARGUMENTS)


@pytest.mark.parametrize(
    "deltas",
    [
        [
            [piece(0, "a", "weather", "{"), piece(1, "b", "time", "[")],
            [piece(1, arguments="]"), piece(0, arguments="}")],
        ],
        [[piece(0, "a", "weather", "{}")], [piece(0, "b", "time", "[]")]],
        [[piece(None, "a", "weather", "{}")], [piece(None, "b", "time", "[]")]],
        [[piece(0, "a", "weather", "{")], [piece(0, "a", "weather", "}")], [piece(1, "b", "time", "[]")]],
        [[piece(0, "a")], [piece(0, None, "weather")], [piece(0, "other", None, "{}")], [piece(1, "b", "time", "[]")]],
        [[piece(5, "a", "weather", "{}")], [piece(2, "b", "time", "[]")]],
    ],
    ids=["by turns", "one index", "no index", "repeated head", "late name, new id", "odd indices"],
)
def test_calls_are_told_apart_however_they_are_numbered(deltas: list[list[object]]) -> None:
    starts, ends, anomalies = told(*deltas)
    assert [start.details["index"] for start in starts] == [0, 1]
    assert asked(ends) == [("call_0", "weather", "{}"), ("call_1", "time", "[]")]
    assert not anomalies


def test_calls_without_any_number_are_told_apart_by_their_place() -> None:
    _, ends, _ = told([piece(None, None, "weather", "{}"), piece(None, None, "time", "[]")])
    assert asked(ends) == [("call_0", "weather", "{}"), ("call_1", "time", "[]")]


def test_a_function_that_nobody_offered_is_not_heard_of() -> None:
    starts, ends, anomalies = told(
        [piece(0, "a", "../etc", "{"), piece(1, "b", "time", "{}")], [piece(0, arguments="}")]
    )
    assert [start.details["name"] for start in starts] == ["time"]
    assert asked(ends) == [("call_1", "time", "{}")]
    assert len(ends) == 2
    assert anomalies == {Anomaly.UNOFFERED_TOOL_CALL: 1}


@pytest.mark.parametrize("pieces", [[7], [None], [{}], [{"function": "x"}], [piece("0", 5, 6, 7)], [piece(0, "a")]])
def test_what_is_no_call_begins_none(pieces: list[object]) -> None:
    assert told(pieces)[:2] == ([], [])


def test_arguments_are_bounded_and_what_was_cut_is_not_whole() -> None:
    half = "€" * (MOST_ARGUMENT_CHARS // 2)
    _, ends, anomalies = told([piece(0, "a", "weather", half)], [piece(0, arguments=half)], [piece(0, arguments="€€€")])
    (done,) = ends
    assert isinstance(done, ToolDone)
    assert done.details["arguments"] == half * 2
    assert anomalies == {Anomaly.EXCESSIVE_TOOL_CALL: 1}


def test_only_so_many_calls_are_heard() -> None:
    starts, ends, anomalies = told([piece(index, f"id{index}", "time", "{}") for index in range(MOST_CALLS + 2)])
    assert (len(starts), len(asked(ends))) == (MOST_CALLS, MOST_CALLS)
    assert anomalies == {Anomaly.EXCESSIVE_TOOL_CALL: 2}


def test_after_the_end_nothing_is_taken_and_nothing_told_twice() -> None:
    calls = ToolCalls(OFFERED, Anomalies())
    calls.feed([piece(0, "a", "weather", "{}")])
    assert len(calls.close()) == 2
    assert calls.feed([piece(1, "b", "time", "{}")]) == []
    assert calls.close() == []


def test_arguments_are_fit_to_be_stored() -> None:
    first, second = json.loads(r'["\ud83d", "\ude00\u0000\ud83d"]')
    _, ends, _ = told([piece(0, "a", "weather", first)], [piece(0, arguments=second)])
    assert asked(ends) == [("call_0", "weather", "😀\ufffd")]

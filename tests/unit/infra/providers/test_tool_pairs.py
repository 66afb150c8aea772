import pytest

from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import (
    Completed,
    Failed,
    Finish,
    FunctionCall,
    ProviderEvent,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
)
from infra.providers.tool_pairs import ToolPairs

WEB, FILES, CODE, CALL = ToolName.WEB_SEARCH, ToolName.FILE_SEARCH, ToolName.CODE_INTERPRETER, ToolName.FUNCTION_CALL
END = Completed(finish=Finish.STOP)
BROKEN = Failed(failure=ProviderFailure(kind=FailureKind.INTERRUPTED))


def paired(*batches: list[ProviderEvent]) -> list[ProviderEvent]:
    pairs = ToolPairs()
    return [event for batch in batches for event in pairs.completed(batch)]


def test_whole_pairs_pass_as_they_are() -> None:
    told: list[ProviderEvent] = [ToolStart("a", WEB), TextDelta("x"), ToolDone("a", WEB), END]
    assert paired(*([event] for event in told)) == told


def test_text_alone_is_not_copied() -> None:
    batch: list[ProviderEvent] = [TextDelta("x")]
    assert ToolPairs().completed(batch) is batch


def test_a_done_without_a_start_gets_one_first() -> None:
    assert paired([ToolDone("a", FILES, {"files_searched": 2})]) == [
        ToolStart("a", FILES),
        ToolDone("a", FILES, {"files_searched": 2}),
    ]


def test_a_function_that_is_only_told_when_done_starts_under_its_name() -> None:
    done = ToolDone("a", CALL, {"call_id": "c", "name": "f", "arguments": "{}"})
    assert paired([done]) == [ToolStart("a", CALL, {"index": 0, "call_id": "c", "name": "f"}), done]


@pytest.mark.parametrize("terminal", [END, BROKEN])
@pytest.mark.parametrize(("name", "empty"), [(WEB, {}), (FILES, {"files_searched": 0}), (CODE, {"output": ""})])
def test_a_start_that_is_open_at_the_end_is_done_in_the_empty_form_of_its_kind(
    name: ToolName, empty: dict[str, object], terminal: Completed | Failed
) -> None:
    assert paired([ToolStart("a", name)], [terminal]) == [ToolStart("a", name), ToolDone("a", name, empty), terminal]


def test_an_open_function_is_done_without_arguments() -> None:
    start = ToolStart("a", CALL, {"index": 1, "call_id": "c", "name": "f"})
    assert paired([start, END])[1] == ToolDone("a", CALL, {"call_id": "c", "name": "f", "arguments": ""})


def test_a_start_told_twice_counts_once_and_a_new_one_after_the_done_again() -> None:
    start, done = ToolStart("a", WEB), ToolDone("a", WEB)
    assert paired([start, start, done, start], [END]) == [start, done, start, done, END]


ASKED = FunctionCall(key="a", name="f", arguments="{}")


def test_a_call_is_handed_on_with_the_end_of_a_whole_answer() -> None:
    pairs = ToolPairs()
    assert pairs.completed([TextDelta("x"), ASKED]) == [TextDelta("x")]
    assert pairs.completed([END]) == [ASKED, END]


@pytest.mark.parametrize(
    "end", [BROKEN, *(Completed(finish=finish) for finish in Finish if finish is not Finish.STOP)], ids=repr
)
def test_of_an_answer_that_was_cut_no_call_is_handed_on(end: Completed | Failed) -> None:
    assert paired([ASKED], [end]) == [end]

"""What each provider event leaves behind, and what readers get of it."""

import itertools
from collections.abc import Mapping

import pytest
from msgspec.structs import asdict

from domain.providers.errors import VERDICTS, FailureKind, ProviderFailure
from domain.providers.events import (
    Accepted,
    Citation,
    CitationFound,
    Completed,
    Failed,
    Finish,
    ProviderEvent,
    ReasoningDelta,
    TextDelta,
    ToolDone,
    ToolName,
    ToolStart,
    Usage,
    UsageReport,
)
from domain.streaming.events import Delta, StreamEvent, Tool
from domain.streaming.models import Broke, Finished
from domain.streaming.transcript import Transcript

CITATION = Citation(source="web", title="Tides", snippet="High water.")
USAGE = Usage(input_tokens=11, output_tokens=2)
COMPLETED = Completed(finish=Finish.STOP, usage=USAGE)
FAILED = Failed(failure=ProviderFailure(kind=FailureKind.OVERLOADED))


def a_transcript(
    *, max_text_bytes: int = 1_000, exposes_reasoning: bool = False, tool_limits: Mapping[ToolName, int] | None = None
) -> Transcript:
    """Its clock reads 100, 101, 102…"""
    readings = itertools.count(100)
    return Transcript(
        lambda: float(next(readings)), max_text_bytes, exposes_reasoning=exposes_reasoning, tool_limits=tool_limits
    )


PUBLISHED: list[tuple[ProviderEvent, StreamEvent | None]] = [
    (Accepted(200), None),
    (TextDelta("Déjà "), Delta("text", "Déjà ")),
    (ReasoningDelta("hm"), None),
    (ToolStart("1", ToolName.WEB_SEARCH), Tool(phase="start", name="web_search", details={})),
    (
        ToolDone("1", ToolName.FILE_SEARCH, {"files_searched": 2}),
        Tool(phase="done", name="file_search", details={"files_searched": 2}),
    ),
    (CitationFound(CITATION), None),
    (UsageReport(USAGE), None),
    (COMPLETED, None),
    (FAILED, None),
]


@pytest.mark.parametrize(("event", "published"), PUBLISHED)
def test_readers_get_text_and_tools_and_nothing_else(event: ProviderEvent, published: StreamEvent | None) -> None:
    assert a_transcript().fold(event) == published


def test_reasoning_is_shown_where_the_model_exposes_it_and_never_becomes_text() -> None:
    transcript = a_transcript(exposes_reasoning=True)
    assert transcript.fold(ReasoningDelta("hm")) == Delta("reasoning", "hm")
    assert transcript.text == ""


def test_the_text_is_the_text_deltas_in_order() -> None:
    transcript = a_transcript(exposes_reasoning=True)
    for event in (TextDelta("Déjà "), ReasoningDelta("hm"), TextDelta("vu.\n")):
        transcript.fold(event)
    assert transcript.text == "Déjà vu.\n"


def test_generated_bytes_are_utf8_and_count_hidden_reasoning_too() -> None:
    transcript = a_transcript()
    transcript.fold(TextDelta("Déjà "))
    transcript.fold(ReasoningDelta("€"))
    transcript.fold(ToolStart("1", ToolName.WEB_SEARCH))
    assert transcript.generated_bytes == 7 + 3


@pytest.mark.parametrize(
    ("tool", "code"),
    [
        (ToolName.WEB_SEARCH, "web_search_calls_exceeded"),
        (ToolName.CODE_INTERPRETER, "code_interpreter_calls_exceeded"),
    ],
)
def test_a_call_too_many_is_not_shown_and_ends_with_its_code_and_what_was_used(tool: ToolName, code: str) -> None:
    transcript = a_transcript(tool_limits={tool: 1})
    transcript.fold(UsageReport(USAGE))
    assert [transcript.fold(ToolStart(key, tool)) is not None for key in ("1", "2")] == [True, False]
    assert transcript.ending == Broke(code=code, retryable=False, usage=USAGE)
    assert transcript.fold(TextDelta("more")) is None


@pytest.mark.parametrize("tool", [ToolName.FILE_SEARCH, ToolName.FUNCTION_CALL])
def test_a_call_too_many_of_another_tool_is_the_end_of_the_answer(tool: ToolName) -> None:
    transcript = a_transcript(tool_limits={tool: 0})
    assert transcript.fold(ToolStart("1", tool)) is None
    assert transcript.ending == Finished(finish=Finish.TOOL_LIMIT, usage=None)


def test_citations_are_collected_in_order() -> None:
    transcript = a_transcript()
    for title in ("one", "two"):
        transcript.fold(CitationFound(Citation(source="web", title=title, snippet="")))
    assert [citation.title for citation in transcript.citations] == ["one", "two"]


@pytest.mark.parametrize("finish", Finish)
def test_a_completed_answer_ends_with_its_reason_and_usage(finish: Finish) -> None:
    transcript = a_transcript()
    transcript.fold(Completed(finish=finish, usage=USAGE))
    assert transcript.ending == Finished(finish=finish, usage=USAGE)


@pytest.mark.parametrize("kind", FailureKind)
def test_a_failure_ends_with_the_code_of_its_kind(kind: FailureKind) -> None:
    transcript = a_transcript()
    transcript.fold(Failed(failure=ProviderFailure(kind=kind, retry_after_ms=2000, detail="secret"), usage=USAGE))
    verdict = VERDICTS[kind]
    assert transcript.ending == Broke(code=verdict.code, retryable=verdict.retryable, retry_after_ms=2000, usage=USAGE)
    assert "secret" not in str(asdict(transcript.ending))


@pytest.mark.parametrize("terminal", [Completed(finish=Finish.STOP), Failed(failure=FAILED.failure)])
def test_usage_reported_on_the_way_counts_when_the_terminal_brings_none(terminal: ProviderEvent) -> None:
    transcript = a_transcript()
    transcript.fold(UsageReport(Usage(input_tokens=1, output_tokens=1)))
    transcript.fold(UsageReport(USAGE))
    transcript.fold(terminal)
    assert isinstance(transcript.ending, Finished | Broke)
    assert transcript.ending.usage == USAGE


def test_usage_of_the_terminal_wins_over_what_was_reported_before() -> None:
    transcript = a_transcript()
    transcript.fold(UsageReport(Usage(input_tokens=1, output_tokens=1)))
    transcript.fold(COMPLETED)
    assert transcript.ending == Finished(finish=Finish.STOP, usage=USAGE)


@pytest.mark.parametrize("late", [event for event, _ in PUBLISHED])
@pytest.mark.parametrize("terminal", [COMPLETED, FAILED])
def test_what_follows_the_terminal_is_ignored(terminal: ProviderEvent, late: ProviderEvent) -> None:
    transcript = a_transcript(exposes_reasoning=True)
    transcript.fold(TextDelta("all"))
    transcript.fold(terminal)
    before = (transcript.ending, transcript.text, transcript.generated_bytes, list(transcript.citations))
    assert transcript.fold(late) is None
    assert (transcript.ending, transcript.text, transcript.generated_bytes, transcript.citations) == before


def test_an_answer_that_grows_to_the_limit_is_cut_as_length_with_its_last_text_told() -> None:
    transcript = a_transcript(max_text_bytes=6)
    for event in (UsageReport(USAGE), TextDelta("éé")):
        transcript.fold(event)
    assert transcript.fold(TextDelta("é")) == Delta("text", "é")
    assert transcript.ending == Finished(finish=Finish.LENGTH, usage=USAGE)
    assert transcript.text == "ééé"


def test_an_answer_below_the_limit_goes_on() -> None:
    transcript = a_transcript(max_text_bytes=6)
    transcript.fold(TextDelta("ééa"))
    assert transcript.ending is None


def test_the_first_token_is_read_from_the_clock_once_at_the_first_text() -> None:
    transcript = a_transcript()
    assert transcript.first_token is None
    transcript.fold(TextDelta("a"))
    transcript.fold(TextDelta("b"))
    assert transcript.first_token == 100


@pytest.mark.parametrize("event", [event for event, _ in PUBLISHED if not isinstance(event, TextDelta)])
def test_nothing_but_text_is_a_first_token(event: ProviderEvent) -> None:
    """`ttft_ms` is null when no text came (api.md 3.2); in the TOOL example of 4.9 it passes over a search of 15 s."""
    transcript = a_transcript(exposes_reasoning=True)
    transcript.fold(event)
    assert transcript.first_token is None

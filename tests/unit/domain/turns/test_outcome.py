"""How each ending is stored and told (api.md 4.8, engine.md 2.5)."""

import pytest
from msgspec.structs import replace
from typing_extensions import override

from domain.catalogue.models import Estimation, ModelSpec
from domain.catalogue.resolver import DowngradeReason, QuotaDecision, Resolution
from domain.clock import SystemClock
from domain.providers.events import Citation, CitationFound, Finish, ProviderEvent, TextDelta, Usage, UsageReport
from domain.quotas.models import QuotaRules, UsageSource
from domain.streaming.events import Done, Timing, TokenUsage, TurnError
from domain.streaming.failures import SENTENCES
from domain.streaming.models import INTERNAL_FAULT, INTERRUPTED, Broke, Ending, Finished, Stopped, StopReason
from domain.streaming.ports import Closing
from domain.streaming.transcript import Transcript
from domain.turns.models import TurnResult, TurnState
from domain.turns.outcome import result_of, terminal_of
from tests.fakes.turns import MODEL, TRACE, a_brief, resolved

USAGE = Usage(input_tokens=812, output_tokens=5)
CITATION = Citation(source="web", title="Tides", snippet="High water.")


class FrozenClock(SystemClock):
    """A turn that started at 100 says its first text at 115.42 and ends at 115.61."""

    @override
    def monotonic(self) -> float:
        return 115.61


def closing(ending: Ending, *events: ProviderEvent, called: bool = True) -> Closing:
    transcript = Transcript(lambda: 115.42, 1_000_000, exposes_reasoning=False)
    for event in events:
        transcript.fold(event)
    brief = replace(a_brief(), started=100.0)
    return Closing(brief=brief, ending=ending, transcript=transcript, provider_called=called, last_number=4)


def result(ending: Ending, *events: ProviderEvent, called: bool = True) -> TurnResult:
    return result_of(closing(ending, *events, called=called), Estimation(), QuotaRules(), FrozenClock())


def terminal(ending: Ending, *events: ProviderEvent) -> Done | TurnError:
    books = closing(ending, *events)
    return terminal_of(books, result_of(books, Estimation(), QuotaRules(), FrozenClock()), ())


FINISHED = Finished(finish=Finish.STOP, usage=USAGE)
ENDINGS: list[tuple[Ending, TurnState, str | None, str, bool]] = [
    (Stopped(reason=StopReason.DISCONNECT), TurnState.CANCELLED, None, "turn_cancelled", False),
    (Stopped(reason=StopReason.CHAT_DELETED), TurnState.CANCELLED, None, "turn_cancelled", False),
    (Stopped(reason=StopReason.TURN_TIMEOUT), TurnState.FAILED, "turn_timeout", "turn_timeout", True),
    (Stopped(reason=StopReason.DRAIN), TurnState.FAILED, "server_shutdown", "server_shutdown", True),
    (INTERNAL_FAULT, TurnState.FAILED, "internal_error", "internal_error", True),
    (INTERRUPTED, TurnState.FAILED, "stream_interrupted", "stream_interrupted", True),
    (Broke(code="provider_error", retryable=False), TurnState.FAILED, "provider_error", "provider_error", False),
    (Broke(code="provider_error", retryable=True), TurnState.FAILED, "provider_error", "provider_error", True),
]


@pytest.mark.parametrize(("ending", "state", "stored_code", "told_code", "retryable"), ENDINGS)
def test_an_ending_without_an_answer_is_stored_and_told_alike(
    ending: Ending, state: TurnState, stored_code: str | None, told_code: str, *, retryable: bool
) -> None:
    stored, told = result(ending), terminal(ending)
    assert (stored.state, stored.error_code, stored.finish, stored.text) == (state, stored_code, None, None)
    assert told == TurnError(code=told_code, message=SENTENCES[told_code], retryable=retryable, trace_id=TRACE.trace_id)


def test_the_hint_of_a_provider_that_throttles_is_handed_on() -> None:
    told = terminal(Broke(code="rate_limited", retryable=True, retry_after_ms=2000))
    assert isinstance(told, TurnError)
    assert told.retry_after_ms == 2000


@pytest.mark.parametrize(
    "ending", [ending for ending, *_ in ENDINGS if ending != Stopped(reason=StopReason.CHAT_DELETED)]
)
def test_text_that_was_said_is_kept_whatever_the_ending(ending: Ending) -> None:
    assert result(ending, TextDelta("One, two")).text == "One, two"


def test_text_of_a_deleted_chat_is_not_kept() -> None:
    assert result(Stopped(reason=StopReason.CHAT_DELETED), TextDelta("One, two")).text is None


@pytest.mark.parametrize("finish", Finish)
def test_a_completed_turn_stores_its_answer_even_when_it_is_empty(finish: Finish) -> None:
    stored = result(Finished(finish=finish, usage=USAGE))
    assert (stored.state, stored.finish, stored.error_code, stored.text) == (TurnState.COMPLETED, finish, None, "")


def test_a_completed_turn_is_told_with_everything_that_is_stored() -> None:
    told = terminal(FINISHED, TextDelta("Déjà vu.\n"), CitationFound(CITATION))
    assert told == Done(
        usage=TokenUsage(input_tokens=812, output_tokens=5),
        effective_model="aurora-large",
        selected_model="aurora-large",
        quota_decision="allow",
        quota_warnings=(),
        finish_reason="stop",
        timing=Timing(ttft_ms=15420, total_ms=15610),
    )


def test_citations_times_and_the_last_number_are_stored() -> None:
    stored = result(FINISHED, TextDelta("a"), CitationFound(CITATION))
    assert (stored.citations, stored.last_number) == ((CITATION,), 4)
    assert (stored.ttft_ms, stored.total_ms) == (15420, 15610)


def test_a_turn_without_text_has_no_time_to_its_first() -> None:
    assert result(FINISHED).ttft_ms is None
    told = terminal(FINISHED)
    assert isinstance(told, Done)
    assert told.timing.ttft_ms is None


def test_a_downgraded_turn_says_from_what_and_why() -> None:
    books = closing(FINISHED)
    downgrade = Resolution(
        selected_model="aurora-large",
        effective=ModelSpec(id="aurora-mini", provider_id="test", provider_model_id="remote"),
        decision=QuotaDecision.DOWNGRADE,
        downgrade_reason=DowngradeReason.MODEL_DISABLED,
    )
    books = replace(books, brief=resolved(books.brief, downgrade))
    told = terminal_of(books, result_of(books, Estimation(), QuotaRules(), FrozenClock()), ())
    assert isinstance(told, Done)
    assert (told.effective_model, told.selected_model) == ("aurora-mini", "aurora-large")
    assert (told.quota_decision, told.downgrade_from, told.downgrade_reason) == (
        "downgrade",
        "aurora-large",
        "model_disabled",
    )


def test_unreported_usage_is_estimated_from_prompt_and_answer() -> None:
    stored = result(Finished(finish=Finish.STOP, usage=None), TextDelta("x" * 400))
    assert (stored.usage_source, stored.input_tokens, stored.output_tokens) == (UsageSource.ESTIMATED, 120, 100)


@pytest.mark.parametrize("ending", [Stopped(reason=StopReason.DISCONNECT), INTERRUPTED, INTERNAL_FAULT])
def test_usage_reported_before_the_turn_was_cut_counts(ending: Ending) -> None:
    """engine.md 4.6: the last report wins."""
    stored = result(ending, UsageReport(USAGE))
    assert (stored.usage_source, stored.input_tokens, stored.output_tokens) == (UsageSource.REPORTED, 812, 5)


def test_a_provider_that_was_never_called_used_nothing() -> None:
    stored = result(Stopped(reason=StopReason.DISCONNECT), called=False)
    assert (stored.usage_source, stored.input_tokens, stored.output_tokens) == (UsageSource.UNKNOWN, 0, 0)


def test_an_estimated_answer_is_never_longer_than_its_model_allows() -> None:
    stored = result(Stopped(reason=StopReason.DISCONNECT), TextDelta("x" * 100_000))
    assert stored.output_tokens == MODEL.max_output_tokens

"""What a turn is said to have used (engine.md 4.6)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue.models import Estimation
from domain.context.usage import ResolvedUsage, resolve_usage
from domain.providers.events import Usage
from domain.quotas.models import UsageSource

BUDGETS = Estimation()
HUGE = 10_000_001
MOST_OUTPUT = 4_096


def resolve(reported: Usage | None, *, called: bool = True, generated_bytes: int = 400) -> ResolvedUsage:
    return resolve_usage(
        reported,
        called=called,
        prompt_estimate=120,
        generated_bytes=generated_bytes,
        max_output_tokens=MOST_OUTPUT,
        budgets=BUDGETS,
    )


REPORTED = [(812, 5), (0, 5), (812, 0), (10_000_000, 10_000_000)]


@pytest.mark.parametrize(("input_tokens", "output_tokens"), REPORTED)
def test_two_usable_numbers_are_taken_as_they_are(input_tokens: int, output_tokens: int) -> None:
    usage = resolve(Usage(input_tokens=input_tokens, output_tokens=output_tokens))
    assert usage == ResolvedUsage(source=UsageSource.REPORTED, input_tokens=input_tokens, output_tokens=output_tokens)


ESTIMATED = [
    (None, (120, 100)),
    (Usage(), (120, 100)),
    (Usage(input_tokens=0, output_tokens=0), (120, 100)),
    (Usage(input_tokens=-1, output_tokens=HUGE), (120, 100)),
    (Usage(input_tokens=HUGE, output_tokens=5), (120, 5)),
    (Usage(input_tokens=812, output_tokens=-5), (812, 100)),
    (Usage(input_tokens=812), (812, 100)),
    (Usage(output_tokens=5), (120, 5)),
]


@pytest.mark.parametrize(("reported", "expected"), ESTIMATED)
def test_what_is_missing_or_unusable_is_estimated(reported: Usage | None, expected: tuple[int, int]) -> None:
    usage = resolve(reported)
    assert usage.source is UsageSource.ESTIMATED
    assert (usage.input_tokens, usage.output_tokens) == expected


def test_a_call_that_said_nothing_costs_the_floor() -> None:
    assert resolve(None, generated_bytes=0).output_tokens == BUDGETS.generation_floor


def test_an_estimate_never_exceeds_what_the_model_may_say() -> None:
    assert resolve(None, generated_bytes=1_000_000).output_tokens == MOST_OUTPUT


@pytest.mark.parametrize("reported", [None, Usage(input_tokens=812, output_tokens=5)])
def test_a_provider_that_was_not_called_used_nothing(reported: Usage | None) -> None:
    usage = resolve(reported, called=False)
    assert usage == ResolvedUsage(source=UsageSource.UNKNOWN, input_tokens=0, output_tokens=0)


TOKENS = st.none() | st.integers(min_value=-(2**63), max_value=2**63)


@given(input_tokens=TOKENS, output_tokens=TOKENS, generated_bytes=st.integers(min_value=0, max_value=2**40))
def test_whatever_a_provider_reports_a_call_is_never_free_and_never_absurd(
    input_tokens: int | None, output_tokens: int | None, generated_bytes: int
) -> None:
    usage = resolve(Usage(input_tokens=input_tokens, output_tokens=output_tokens), generated_bytes=generated_bytes)
    assert 0 < usage.input_tokens + usage.output_tokens <= 20_000_000
    assert usage.source is not UsageSource.UNKNOWN

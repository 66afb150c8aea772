"""engine.md 4.6 and 4.7, to the micro-credit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue.models import MOST_TOKENS
from domain.quotas.credits import credits_micro
from domain.quotas.models import UsageSource
from domain.quotas.settlement import RELEASED, Settlement, SettlementMethod, released_micro, settle
from tests.unit.domain.quotas.amounts import PREMIUM_PRICES, hold

HELD, TOLERANCE_PCT = 72_210, 110
ACTUAL = [
    ((4_358, 4_096), 74_514, False),
    ((4_359, 4_096), 72_210, True),
    ((3_590, 4_864), 72_210, True),
    ((8_455, 0), 25_365, True),
    ((2_900, 612), 17_880, False),
]


def settled(source: UsageSource, input_tokens: int, output_tokens: int) -> Settlement:
    return settle(hold(), source, input_tokens, output_tokens, TOLERANCE_PCT)


@pytest.mark.parametrize(("tokens", "micro", "capped"), ACTUAL)
def test_reported_usage_costs_what_the_worked_examples_say(
    tokens: tuple[int, int], micro: int, *, capped: bool
) -> None:
    expected = Settlement(method=SettlementMethod.ACTUAL, charged_micro=micro, capped=capped)
    assert settled(UsageSource.REPORTED, *tokens) == expected


def test_a_cancelled_answer_of_a_thousand_bytes_costs_what_the_worked_example_says() -> None:
    settlement = settled(UsageSource.ESTIMATED, 3_590, 250)
    assert settlement == Settlement(method=SettlementMethod.ESTIMATED, charged_micro=14_520)


def test_an_estimate_never_costs_more_than_was_held() -> None:
    assert settled(UsageSource.ESTIMATED, 3_590, 1_000_000).charged_micro == HELD


def test_what_was_not_called_costs_nothing() -> None:
    assert settled(UsageSource.UNKNOWN, 0, 0) == RELEASED


@pytest.mark.parametrize(("charged", "released"), [(0, HELD), (14_520, 57_690), (HELD, 0), (74_514, 0)])
def test_what_is_not_charged_comes_back(charged: int, released: int) -> None:
    assert released_micro(HELD, charged) == released


TOKENS = st.integers(min_value=0, max_value=MOST_TOKENS)


@given(source=st.sampled_from(UsageSource), input_tokens=TOKENS, output_tokens=TOKENS)
def test_whatever_is_reported_the_charge_is_bounded_by_the_tolerance(
    source: UsageSource, input_tokens: int, output_tokens: int
) -> None:
    settlement = settled(source, input_tokens, output_tokens)
    assert 0 <= settlement.charged_micro <= HELD * TOLERANCE_PCT // 100
    assert settlement.charged_micro <= credits_micro(input_tokens, output_tokens, PREMIUM_PRICES)
    if settlement.capped:
        assert settlement.charged_micro <= HELD
    if source is not UsageSource.UNKNOWN and input_tokens + output_tokens:
        assert settlement.charged_micro > 0


@given(
    limit_micro=st.integers(min_value=0, max_value=500_000),
    turns=st.lists(st.tuples(st.sampled_from(UsageSource), TOKENS, TOKENS, st.booleans()), max_size=30),
)
def test_counters_come_out_even_whatever_order_turns_begin_and_end_in(
    limit_micro: int, turns: list[tuple[UsageSource, int, int, bool]]
) -> None:
    """What the counters hold is what running turns hold, and what they have spent is what turns were charged."""
    spent_micro = reserved_micro = charged_micro = 0
    running: list[tuple[UsageSource, int, int]] = []
    for source, input_tokens, output_tokens, ends_now in turns:
        if spent_micro + reserved_micro + HELD <= limit_micro:
            reserved_micro += HELD
            running.append((source, input_tokens, output_tokens))
            assert spent_micro + reserved_micro <= limit_micro
        if ends_now and running:
            ended = settled(*running.pop(0))
            reserved_micro, spent_micro = reserved_micro - HELD, spent_micro + ended.charged_micro
            charged_micro += ended.charged_micro
        assert reserved_micro == HELD * len(running) >= 0
        assert spent_micro == charged_micro

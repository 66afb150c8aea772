"""engine.md 4.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue.models import MOST_TOKENS
from domain.quotas.credits import MOST_MULTIPLIER_MICRO, OutOfBounds, Prices, credits_micro

WORKED = [
    ((1, 1), (1, 1), 2),
    ((1_000, 500), (1_000_000, 1_000_000), 1_500),
    ((2_900, 612), (3_000_000, 15_000_000), 17_880),
    ((2_900, 612), (150_000, 600_000), 803),
    ((0, 0), (3_000_000, 15_000_000), 0),
]


def prices(input_micro: int, output_micro: int) -> Prices:
    return Prices(input_multiplier_micro=input_micro, output_multiplier_micro=output_micro)


@pytest.mark.parametrize(("tokens", "multipliers", "micro"), WORKED)
def test_tokens_cost_what_the_worked_examples_say(
    tokens: tuple[int, int], multipliers: tuple[int, int], micro: int
) -> None:
    assert credits_micro(*tokens, prices(*multipliers)) == micro


OUTSIDE = [
    ((-1, 0), (1, 1)),
    ((0, MOST_TOKENS + 1), (1, 1)),
    ((0, 0), (0, 1)),
    ((0, 0), (1, MOST_MULTIPLIER_MICRO + 1)),
]


@pytest.mark.parametrize(("tokens", "multipliers"), OUTSIDE)
def test_numbers_that_nobody_has_are_refused(tokens: tuple[int, int], multipliers: tuple[int, int]) -> None:
    with pytest.raises(OutOfBounds):
        credits_micro(*tokens, prices(*multipliers))


TOKENS = st.integers(min_value=0, max_value=MOST_TOKENS)
MULTIPLIERS = st.integers(min_value=1, max_value=MOST_MULTIPLIER_MICRO)


@given(input_tokens=TOKENS, output_tokens=TOKENS, input_micro=MULTIPLIERS, output_micro=MULTIPLIERS)
def test_each_part_is_rounded_up_on_its_own_and_by_less_than_one(
    input_tokens: int, output_tokens: int, input_micro: int, output_micro: int
) -> None:
    exact_millionths = input_tokens * input_micro + output_tokens * output_micro
    charged_millionths = credits_micro(input_tokens, output_tokens, prices(input_micro, output_micro)) * 1_000_000
    assert exact_millionths <= charged_millionths < exact_millionths + 2_000_000

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue.models import Estimation, EstimationBudgets
from domain.context.token_estimator import attachment_tokens, estimate_output_tokens, estimate_prompt_tokens
from domain.providers.events import ToolName
from domain.rounding import cdiv

DEFAULTS = Estimation()
WORKED = [(0, 110), (4_000, 1_210), (7_200, 2_090), (29_400, 8_195), (17_400, 4_895)]


@pytest.mark.parametrize(("utf8_bytes", "tokens"), WORKED)
def test_prompts_cost_what_the_worked_examples_say(utf8_bytes: int, tokens: int) -> None:
    """engine.md 4.3 and 6.2."""
    assert estimate_prompt_tokens(utf8_bytes, DEFAULTS) == tokens


def test_an_image_and_a_web_search_cost_what_the_worked_example_says() -> None:
    """engine.md 4.3."""
    attached = attachment_tokens(1, [ToolName.WEB_SEARCH], DEFAULTS)
    assert estimate_prompt_tokens(7_200, DEFAULTS) + attached == 3_590


def test_a_tool_of_no_known_cost_adds_nothing() -> None:
    assert attachment_tokens(0, [ToolName.FUNCTION_CALL], DEFAULTS) == 0
    assert attachment_tokens(0, [ToolName.FILE_SEARCH, ToolName.CODE_INTERPRETER], DEFAULTS) == 1_500


def test_a_model_may_be_estimated_in_its_own_way() -> None:
    own = EstimationBudgets(bytes_per_token_conservative=2, safety_margin_pct=0).over(DEFAULTS)
    assert estimate_prompt_tokens(4_000, own) == 2_100


@pytest.mark.parametrize(("utf8_bytes", "tokens"), [(0, 50), (200, 50), (201, 51), (4_001, 1_001)])
def test_answers_cost_a_quarter_of_their_bytes_and_never_less_than_the_floor(utf8_bytes: int, tokens: int) -> None:
    assert estimate_output_tokens(utf8_bytes, DEFAULTS) == tokens


@given(dividend=st.integers(min_value=0, max_value=2**60), divisor=st.integers(min_value=1, max_value=10_000))
def test_division_rounds_up(dividend: int, divisor: int) -> None:
    rounded = cdiv(dividend, divisor)
    assert (rounded - 1) * divisor < dividend <= rounded * divisor


@given(
    smaller=st.integers(min_value=0, max_value=2**40),
    more=st.integers(min_value=0, max_value=2**20),
    per_token=st.integers(min_value=1, max_value=16),
    margin=st.integers(min_value=0, max_value=200),
)
def test_a_longer_prompt_never_costs_less(smaller: int, more: int, per_token: int, margin: int) -> None:
    budgets = Estimation(bytes_per_token=per_token, margin_pct=margin)
    assert estimate_prompt_tokens(smaller, budgets) <= estimate_prompt_tokens(smaller + more, budgets)

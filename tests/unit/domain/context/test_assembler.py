"""Which part of a conversation a model gets to see (engine.md 6.1, 6.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue.models import Estimation, ModelSpec
from domain.context.assembler import Plan, ToolTexts, assemble
from domain.context.token_estimator import estimate_prompt_tokens
from domain.errors import ContextBudgetExceeded, InputTooLong
from domain.providers.request import AssistantText, UserText
from domain.turns.models import Exchange

BUDGETS = Estimation()


def a_model(room: int = 8_000, *, system_prompt: str = "", context_window: int = 1_000_000) -> ModelSpec:
    return ModelSpec(
        id="m",
        provider_id="p",
        provider_model_id="m",
        max_input_tokens=room,
        context_window=context_window,
        system_prompt=system_prompt,
    )


def an_exchange(size_bytes: int, name: str = "") -> Exchange:
    half = size_bytes // 2
    return Exchange(user_text=(name + "u" * half)[:half], assistant_text="a" * (size_bytes - half))


def texts(plan: Plan) -> list[str]:
    return [item.text for item in plan.items]


def test_a_plan_is_the_kept_exchanges_in_turn_and_then_the_message_verbatim() -> None:
    history = [Exchange(user_text="q1", assistant_text="a1"), Exchange(user_text="q2", assistant_text="a2")]
    plan = assemble(a_model(system_prompt="Be kind."), BUDGETS, history, "  q3\n")
    assert plan.instructions == "Be kind."
    assert plan.items == (
        UserText("q1"),
        AssistantText("a1"),
        UserText("q2"),
        AssistantText("a2"),
        UserText("  q3\n"),
    )


def test_a_model_without_a_system_prompt_gets_no_instructions() -> None:
    assert assemble(a_model(), BUDGETS, (), "q").instructions is None


def test_guards_follow_the_system_prompt_after_a_blank_line_each() -> None:
    tools = ToolTexts(guards=("Search with care.", "Quote files."), surcharge_tokens=700)
    plan = assemble(a_model(system_prompt="Be kind."), BUDGETS, (), "q", tools)
    assert plan.instructions == "Be kind.\n\nSearch with care.\n\nQuote files."
    assert plan.estimated_tokens == estimate_prompt_tokens(len(plan.instructions) + 1, BUDGETS) + 700


def test_a_guard_alone_is_all_the_instructions() -> None:
    assert assemble(a_model(), BUDGETS, (), "q", ToolTexts(guards=("Search with care.",))).instructions == (
        "Search with care."
    )


def test_what_tools_add_takes_room_from_the_history() -> None:
    history = [an_exchange(400, "old"), an_exchange(400, "new")]
    room = estimate_prompt_tokens(801, BUDGETS)
    assert len(assemble(a_model(room), BUDGETS, history, "m").items) == 5
    assert len(assemble(a_model(room), BUDGETS, history, "m", ToolTexts(surcharge_tokens=1)).items) == 3


def test_a_surcharge_that_leaves_no_room_for_the_message_is_refused() -> None:
    with pytest.raises(ContextBudgetExceeded) as refusal:
        assemble(a_model(1_210), BUDGETS, (), "m" * 4_000, ToolTexts(surcharge_tokens=1))
    assert refusal.value.members == {"max_input_tokens": 1_210, "estimated_tokens": 1_211}


def test_the_worked_example_drops_its_oldest_turn() -> None:
    """engine.md 6.2; the 2 000 bytes of its summary stand in the instructions here."""
    history = [an_exchange(12_000, "oldest"), an_exchange(8_000, "middle"), an_exchange(6_000, "newest")]
    plan = assemble(a_model(8_000, system_prompt="i" * 2_400), BUDGETS, history, "m" * 1_000)
    assert plan.estimated_tokens == 4_895
    assert [text[:6] for text in texts(plan)] == ["middle", "aaaaaa", "newest", "aaaaaa", "mmmmmm"]


def test_nothing_is_dropped_when_all_of_it_just_fits() -> None:
    history = [an_exchange(12_000), an_exchange(8_000), an_exchange(6_000)]
    plan = assemble(a_model(8_195, system_prompt="i" * 2_400), BUDGETS, history, "m" * 1_000)
    assert (plan.estimated_tokens, len(plan.items)) == (8_195, 7)


def test_an_older_exchange_is_never_kept_over_a_newer_one() -> None:
    history = [an_exchange(10, "small"), an_exchange(100_000, "large"), an_exchange(10, "new")]
    assert len(assemble(a_model(1_000), BUDGETS, history, "m").items) == 3


def test_the_room_is_what_the_answer_leaves_of_the_window() -> None:
    model = a_model(8_000, context_window=4_096 + 150)
    assert assemble(model, BUDGETS, [an_exchange(400)], "m").estimated_tokens == estimate_prompt_tokens(1, BUDGETS)


def test_a_message_too_long_for_the_model_is_refused_with_both_numbers() -> None:
    with pytest.raises(InputTooLong) as refusal:
        assemble(a_model(1_209), BUDGETS, (), "m" * 4_000)
    assert refusal.value.members == {"max_input_tokens": 1_209, "estimated_tokens": 1_210}


def test_a_message_that_just_fits_is_taken() -> None:
    assert assemble(a_model(1_210), BUDGETS, (), "m" * 4_000).estimated_tokens == 1_210


def test_instructions_that_leave_no_room_for_the_message_are_refused() -> None:
    with pytest.raises(ContextBudgetExceeded) as refusal:
        assemble(a_model(1_210, system_prompt="i"), BUDGETS, (), "m" * 4_000)
    assert refusal.value.members == {"max_input_tokens": 1_210, "estimated_tokens": 1_212}


def test_sizes_are_those_of_utf8() -> None:
    assert assemble(a_model(), BUDGETS, (), "é" * 2_000).estimated_tokens == 1_210


SIZES = st.lists(st.integers(min_value=2, max_value=5_000), max_size=12)


@given(sizes=SIZES, room=st.integers(min_value=200, max_value=6_000), message=st.integers(min_value=1, max_value=300))
def test_a_plan_is_the_longest_newest_part_that_fits(sizes: list[int], room: int, message: int) -> None:
    history = [an_exchange(size) for size in sizes]
    plan = assemble(a_model(room), BUDGETS, history, "m" * message)
    kept = len(plan.items) // 2
    assert plan.estimated_tokens <= room
    assert texts(plan) == [
        *(text for each in history[len(history) - kept :] for text in (each.user_text, each.assistant_text)),
        "m" * message,
    ]
    if kept < len(history):
        one_more = sum(sizes[len(sizes) - kept - 1 :]) + message
        assert estimate_prompt_tokens(one_more, BUDGETS) > room

"""Which part of a conversation a model gets to see (engine.md 6.1, 6.2)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.catalogue.models import Estimation, ModelSpec
from domain.context.assembler import NO_TOOLS, Plan, ToolTexts, assemble
from domain.context.fencing import Fenced
from domain.context.history import Exchange
from domain.context.token_estimator import estimate_prompt_tokens
from domain.errors import ContextBudgetExceeded, InputTooLong
from domain.providers.capabilities import Capabilities
from domain.providers.request import AssistantText, ContextBlock, UserText

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
    return Exchange(user_seq=1, user_text=(name + "u" * half)[:half], assistant_text="a" * (size_bytes - half))


def an_exchange_of(asked: str, answered: str) -> Exchange:
    return Exchange(user_seq=1, user_text=asked, assistant_text=answered)


def texts(plan: Plan) -> list[str]:
    return [item.text for item in plan.items]


def test_a_plan_is_the_kept_exchanges_in_turn_and_then_the_message_verbatim() -> None:
    history = [an_exchange_of("q1", "a1"), an_exchange_of("q2", "a2")]
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


RECAP = Fenced(text="s" * 1_900, rule="r" * 98)
"""With the blank line before the rule, the 2 000 bytes of the worked example."""


def test_the_worked_example_drops_its_oldest_turn() -> None:
    """engine.md 6.2."""
    history = [an_exchange(12_000, "oldest"), an_exchange(8_000, "middle"), an_exchange(6_000, "newest")]
    plan = assemble(a_model(8_000, system_prompt="i" * 400), BUDGETS, history, "m" * 1_000, NO_TOOLS, RECAP)
    assert (plan.estimated_tokens, plan.turns_dropped, plan.has_recap) == (4_895, 1, True)
    assert [text[:6] for text in texts(plan)] == ["ssssss", "middle", "aaaaaa", "newest", "aaaaaa", "mmmmmm"]


def test_nothing_is_dropped_when_all_of_it_just_fits() -> None:
    history = [an_exchange(12_000), an_exchange(8_000), an_exchange(6_000)]
    plan = assemble(a_model(8_195, system_prompt="i" * 400), BUDGETS, history, "m" * 1_000, NO_TOOLS, RECAP)
    assert (plan.estimated_tokens, len(plan.items), plan.turns_dropped) == (8_195, 8, 0)


def test_the_recap_is_a_block_of_its_own_between_its_rule_and_the_exchanges() -> None:
    plan = assemble(a_model(system_prompt="Be kind."), BUDGETS, [an_exchange_of("q1", "a1")], "q2", NO_TOOLS, RECAP)
    assert plan.instructions == f"Be kind.\n\n{RECAP.rule}"
    assert plan.items == (ContextBlock(RECAP.text), UserText("q1"), AssistantText("a1"), UserText("q2"))


def test_all_exchanges_go_before_the_recap() -> None:
    room = estimate_prompt_tokens(2_001, BUDGETS)
    plan = assemble(a_model(room), BUDGETS, [an_exchange(400)] * 3, "m", NO_TOOLS, RECAP)
    assert plan.items == (ContextBlock(RECAP.text), UserText("m"))
    assert (plan.turns_dropped, plan.has_recap) == (3, True)


def test_a_recap_that_does_not_fit_goes_with_its_rule_and_leaves_its_place_to_the_newest() -> None:
    room = estimate_prompt_tokens(1_900, BUDGETS)
    plan = assemble(a_model(room), BUDGETS, [an_exchange(1_000)] * 3, "m", NO_TOOLS, RECAP)
    assert plan.instructions is None
    assert [len(text) for text in texts(plan)] == [500, 500, 1]
    assert (plan.turns_dropped, plan.has_recap) == (2, False)


def test_a_provider_that_carries_few_messages_gets_the_newest() -> None:
    carried = Capabilities(max_messages=4)
    history = [an_exchange_of(f"q{number}", f"a{number}") for number in range(3)]
    plan = assemble(a_model(), BUDGETS, history, "q", NO_TOOLS, None, carried)
    assert texts(plan) == ["q2", "a2", "q"]
    with_recap = assemble(a_model(), BUDGETS, history, "q", NO_TOOLS, RECAP, carried)
    assert texts(with_recap) == [RECAP.text, "q2", "a2", "q"]


def test_an_exchange_with_a_message_longer_than_the_provider_carries_hides_all_before_it() -> None:
    history = [an_exchange_of("q0", "a0"), an_exchange_of("q1", "a" * 101), an_exchange_of("q2", "a2")]
    plan = assemble(a_model(), BUDGETS, history, "q", NO_TOOLS, None, Capabilities(max_message_chars=100))
    assert (texts(plan), plan.turns_dropped) == (["q2", "a2", "q"], 2)


def test_the_first_question_shares_its_message_with_the_instructions() -> None:
    """providers-and-files.md 2.5: a provider without a system role is sent them as one."""
    model, carried = a_model(system_prompt="i" * 48), Capabilities(max_message_chars=100)
    history = [an_exchange_of("s" * 50, "a0"), an_exchange_of("l" * 51, "a1")]
    assert texts(assemble(model, BUDGETS, history, "q", NO_TOOLS, None, carried))[0] == "s" * 50
    assert texts(assemble(model, BUDGETS, history[1:], "q", NO_TOOLS, None, carried)) == ["q"]


def test_a_provider_that_carries_few_characters_counts_the_instructions_among_them() -> None:
    carried, history = Capabilities(max_total_chars=20), [an_exchange_of("q0", "a0"), an_exchange_of("q1", "a1")]
    plan = assemble(a_model(system_prompt="i" * 15), BUDGETS, history, "q", NO_TOOLS, None, carried)
    assert texts(plan) == ["q1", "a1", "q"]


@pytest.mark.parametrize(
    "carried", [Capabilities(max_messages=0), Capabilities(max_message_chars=9), Capabilities(max_total_chars=9)]
)
def test_a_message_that_the_provider_does_not_carry_is_refused(carried: Capabilities) -> None:
    with pytest.raises(ContextBudgetExceeded):
        assemble(a_model(), BUDGETS, (), "m" * 10, NO_TOOLS, None, carried)


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


@pytest.mark.parametrize(
    ("room", "carried", "pct"),
    [
        (11_000, Capabilities(), 11),
        (1_210, Capabilities(), 100),
        (11_000, Capabilities(max_messages=4), 75),
        (11_000, Capabilities(max_total_chars=8_000), 50),
        (11_000, Capabilities(max_messages=1_000, max_total_chars=1_000_000), 11),
    ],
)
def test_a_plan_tells_how_near_it_is_to_the_nearest_bound(room: int, carried: Capabilities, pct: int) -> None:
    """4 000 bytes in three messages are 1 210 tokens."""
    plan = assemble(a_model(room), BUDGETS, [an_exchange(3_000)], "m" * 1_000, NO_TOOLS, None, carried)
    assert (plan.estimated_tokens, plan.filled_pct) == (1_210, pct)


SIZES = st.lists(st.integers(min_value=2, max_value=5_000), max_size=12)


@given(
    sizes=SIZES,
    room=st.integers(min_value=200, max_value=6_000),
    message=st.integers(min_value=1, max_value=300),
    recap=st.none() | st.integers(min_value=1, max_value=8_000),
)
def test_a_plan_is_the_longest_newest_part_that_fits(
    sizes: list[int], room: int, message: int, recap: int | None
) -> None:
    history = [an_exchange(size) for size in sizes]
    block = None if recap is None else Fenced(text="b" * recap, rule="r")
    plan = assemble(a_model(room), BUDGETS, history, "m" * message, NO_TOOLS, block)
    kept = len(history) - plan.turns_dropped
    assert plan.estimated_tokens <= room
    assert texts(plan) == [
        *(["b" * (recap or 0)] if plan.has_recap else []),
        *(text for each in history[len(history) - kept :] for text in (each.user_text, each.assistant_text)),
        "m" * message,
    ]
    lead = recap + 1 if plan.has_recap and recap else 0
    assert plan.estimated_tokens == estimate_prompt_tokens(sum(sizes[len(sizes) - kept :]) + message + lead, BUDGETS)
    if kept < len(history):
        one_more = sum(sizes[len(sizes) - kept - 1 :]) + message + lead
        assert estimate_prompt_tokens(one_more, BUDGETS) > room
    if recap is not None and not plan.has_recap:
        assert estimate_prompt_tokens(recap + 1 + message, BUDGETS) > room

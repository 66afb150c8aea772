"""When a conversation is summarised, and up to where (engine.md 6.3)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from domain.catalogue.models import Estimation, ModelSpec
from domain.context.assembler import NO_TOOLS, Plan, assemble
from domain.context.fencing import fenced
from domain.context.history import Exchange, History
from domain.providers.capabilities import Capabilities
from domain.providers.request import UserText
from domain.summaries.trigger import SummaryRules, summary_target

RULES = SummaryRules()
ROOMY = Plan(instructions=None, items=(), estimated_tokens=799, filled_pct=79, turns_dropped=0, has_recap=False)
CROWDED = replace(ROOMY, estimated_tokens=800, filled_pct=80)


def exchanges(count: int, first_seq: int = 1) -> list[Exchange]:
    """Two messages each, the first at `first_seq`."""
    return [Exchange(user_seq=first_seq + 2 * number, user_text="q", assistant_text="a") for number in range(count)]


def target(plan: Plan, history: History, rules: SummaryRules = RULES, recent_turns: int = 20) -> int | None:
    return summary_target(history, plan, rules, recent_turns)


def test_nothing_is_summarised_while_there_is_room() -> None:
    assert target(ROOMY, History(exchanges=exchanges(10))) is None


def test_a_crowded_prompt_leaves_the_four_newest_turns_that_of_its_own_included() -> None:
    """Turns end at 2, 4 … 20; the new one is the fourth beside those that end at 16, 18 and 20."""
    assert target(CROWDED, History(exchanges=exchanges(10))) == 14


@pytest.mark.parametrize(("count", "seq"), [(0, None), (3, None), (4, 2), (5, 4)])
def test_as_many_turns_as_are_kept_are_not_summarised(count: int, seq: int | None) -> None:
    assert target(CROWDED, History(exchanges=exchanges(count))) == seq


def test_the_newest_turn_is_never_covered() -> None:
    assert target(CROWDED, History(exchanges=exchanges(3)), SummaryRules(keep_turns=1)) == 6


def test_what_was_dropped_is_summarised_even_if_it_is_among_the_newest() -> None:
    history = History(exchanges=exchanges(3))
    assert target(replace(ROOMY, turns_dropped=2), history) == 4
    assert target(replace(ROOMY, turns_dropped=1), History(exchanges=exchanges(10))) == 14


def test_what_was_not_even_read_is_summarised() -> None:
    assert target(ROOMY, History(exchanges=exchanges(2, first_seq=9), left_out_seq=7)) == 8
    assert target(ROOMY, History(left_out_seq=7)) == 8
    assert target(ROOMY, History(exchanges=exchanges(10, first_seq=9), left_out_seq=7)) == 22


def test_a_history_that_nears_the_number_of_turns_that_are_read_is_crowded() -> None:
    assert target(ROOMY, History(exchanges=exchanges(15))) is None
    assert target(ROOMY, History(exchanges=exchanges(16))) == 26


def test_summaries_that_are_off_are_not_wanted() -> None:
    assert target(CROWDED, History(exchanges=exchanges(10)), SummaryRules(enabled=False)) is None


ESTIMATION = Estimation()
RECAP = fenced("s" * 400, "0" * 32)


def a_model(room: int) -> ModelSpec:
    return ModelSpec(
        id="m",
        provider_id="p",
        provider_model_id="m",
        max_input_tokens=room,
        context_window=room + 100,
        max_output_tokens=100,
    )


@given(
    sizes=st.lists(st.integers(min_value=1, max_value=3_000), max_size=60),
    room=st.integers(min_value=400, max_value=4_000),
    recent_turns=st.integers(min_value=1, max_value=25),
    keep_turns=st.integers(min_value=1, max_value=8),
    carried=st.builds(Capabilities, max_messages=st.none() | st.integers(min_value=4, max_value=40)),
)
def test_what_one_prompt_leaves_out_the_summary_of_the_next_one_covers(
    sizes: list[int], room: int, recent_turns: int, keep_turns: int, carried: Capabilities
) -> None:
    """However long the turns are, each is in the prompt, covered, or about to be; and the frontier never recedes."""
    rules, covers_seq = SummaryRules(keep_turns=keep_turns), 0
    said: list[Exchange] = []
    for number, size in enumerate(sizes):
        beyond = [each for each in said if each.user_seq > covers_seq]
        left_out = [each.user_seq for each in beyond[:-recent_turns]]
        history = History(exchanges=beyond[-recent_turns:], left_out_seq=max(left_out, default=None))
        recap = RECAP if covers_seq else None
        plan = assemble(a_model(room), ESTIMATION, history.exchanges, "m", NO_TOOLS, recap, carried)
        target_seq = summary_target(history, plan, rules, recent_turns)
        shown = {item.text for item in plan.items if isinstance(item, UserText)}
        missing = [each.end_seq for each in beyond if each.user_text not in shown]
        assert max(missing, default=0) <= (target_seq or 0)
        assert target_seq is None or covers_seq < target_seq < 2 * number + 1
        covers_seq = target_seq or covers_seq
        said.append(Exchange(user_seq=2 * number + 1, user_text=f"{number} " + "u" * size, assistant_text="a"))

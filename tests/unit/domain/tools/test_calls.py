"""How many calls one more message may make (engine.md 4.8)."""

import pytest

from domain.tools.calls import ToolCalls, ToolLimits

LEFT = [(0, 2), (73, 2), (74, 1), (75, 0), (76, 0)]


@pytest.mark.parametrize(("taken", "left"), LEFT)
def test_web_search_has_two_calls_a_message_as_long_as_the_day_has_them(taken: int, left: int) -> None:
    assert ToolLimits().for_one_message(ToolCalls(web_search=taken)).web_search == left


@pytest.mark.parametrize(("taken", "left"), [(0, 10), (40, 10), (41, 9), (50, 0), (60, 0)])
def test_code_has_ten_runs_a_message_as_long_as_the_day_has_them(taken: int, left: int) -> None:
    assert ToolLimits().for_one_message(ToolCalls(code_interpreter=taken)).code_interpreter == left


def test_one_tool_takes_nothing_from_another_and_files_are_searched_without_a_limit_by_the_day() -> None:
    taken = ToolCalls(file_search=1_000, web_search=75)
    assert ToolLimits().for_one_message(taken) == ToolCalls(file_search=2, web_search=0, code_interpreter=10)

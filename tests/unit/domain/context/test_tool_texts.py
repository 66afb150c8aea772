"""A tool that is not attached costs nothing and is not mentioned."""

from itertools import chain, combinations
from typing import Final

import pytest

from domain.catalogue.models import Estimation
from domain.context.tool_texts import FILE_SEARCH_GUARD, WEB_SEARCH_GUARD, Guards, texts_of
from domain.providers.request import CodeInterpreter, FileSearch, RequestTool, WebSearch
from domain.tools.offered import ToolSet

TOOLS: Final[dict[RequestTool, tuple[str, int]]] = {
    WebSearch(context_size="low", max_uses=2): (WEB_SEARCH_GUARD, 500),
    FileSearch(store_id="s", max_num_results=20): (FILE_SEARCH_GUARD, 600),
    CodeInterpreter(): ("", 1_000),
}
BUDGETS: Final = Estimation(file_search=600)
SUBSETS: Final = list(chain.from_iterable(combinations(TOOLS, count) for count in range(len(TOOLS) + 1)))


@pytest.mark.parametrize("attached", SUBSETS)
def test_each_attached_tool_adds_its_guard_and_its_surcharge(attached: tuple[RequestTool, ...]) -> None:
    texts = texts_of(ToolSet(tools=attached), Guards(), BUDGETS)
    assert texts.guards == tuple(guard for tool, (guard, _) in TOOLS.items() if tool in attached and guard)
    assert texts.surcharge_tokens == sum(TOOLS[tool][1] for tool in attached)


def test_a_guard_that_an_operator_emptied_is_left_out() -> None:
    tools = ToolSet(tools=(WebSearch(context_size="low", max_uses=2),))
    assert texts_of(tools, Guards(web_search=""), BUDGETS).guards == ()


def test_built_in_guards_fit_the_setting() -> None:
    assert all(0 < len(guard.encode()) <= 4 * 1024 for guard in (WEB_SEARCH_GUARD, FILE_SEARCH_GUARD))

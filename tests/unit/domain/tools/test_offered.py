"""Which tools a turn gets: every combination of what has to agree (providers-and-files.md 1.4, 4.9)."""

from itertools import product
from typing import Final

import pytest

from domain.catalogue.models import ModelSpec, ToolSupport
from domain.providers.capabilities import Capabilities
from domain.providers.events import ToolName
from domain.providers.request import CodeInterpreter, FileSearch, WebSearch
from domain.switches.models import Tool
from domain.tools.calls import ToolCalls
from domain.tools.offered import ChatFiles, Occasion, ToolSet, offered

FILES: Final = ChatFiles(store_id="store", only=("a",), spreadsheets=("sheet",))
LEFT: Final = ToolCalls(file_search=2, web_search=3, code_interpreter=10)
RUN: Final = (Tool.FILE_SEARCH, Tool.WEB_SEARCH, Tool.CODE_INTERPRETER)
CASES: Final = list(product(RUN, *[(True, False)] * 5))
EVERYTHING: Final = dict.fromkeys(RUN, True)


def a_model(supported: dict[Tool, bool]) -> ModelSpec:
    return ModelSpec(
        id="m",
        provider_id="p",
        provider_model_id="m",
        tool_support=ToolSupport(**supported),
        max_num_results=7,
        web_search_context_size="medium",
    )


def an_occasion(wished: dict[Tool, bool], withheld: frozenset[Tool] = frozenset(), left: ToolCalls = LEFT) -> Occasion:
    return Occasion(
        web_search=wished[Tool.WEB_SEARCH],
        withheld=withheld,
        left=left,
        files=ChatFiles(
            store_id=FILES.store_id if wished[Tool.FILE_SEARCH] else None,
            spreadsheets=FILES.spreadsheets if wished[Tool.CODE_INTERPRETER] else (),
        ),
    )


@pytest.mark.parametrize(("tool", "supported", "carried", "wanted", "withheld", "left"), CASES)
def test_a_tool_is_attached_only_if_everything_agrees(
    tool: Tool,
    supported: bool,
    carried: bool,
    wanted: bool,
    withheld: bool,
    left: bool,
) -> None:
    tools = offered(
        a_model(EVERYTHING | {tool: supported}),
        Capabilities(**{name: carried if name is tool else True for name in RUN}),
        an_occasion(
            EVERYTHING | {tool: wanted},
            frozenset({tool} if withheld else ()),
            LEFT if left else LEFT.only(set(RUN) - {tool}),
        ),
    )
    usable = supported and carried and wanted and not withheld
    assert (tool in tools.names) == (usable and left)
    assert (tool in tools.exhausted) == (usable and not left)
    assert tools.names - {tool} == frozenset(RUN) - {tool}
    assert tools.allowance == LEFT.only(tools.names)


def test_the_list_carries_what_catalogue_and_chat_say() -> None:
    occasion = Occasion(web_search=True, left=LEFT, files=FILES)
    capabilities = Capabilities(file_search=True, file_search_filters=True, web_search=True, code_interpreter=True)
    assert offered(a_model(EVERYTHING), capabilities, occasion).tools == (
        FileSearch(store_id="store", max_num_results=7, only=("a",)),
        WebSearch(context_size="medium", max_uses=3),
        CodeInterpreter(file_ids=("sheet",)),
    )


def test_a_chat_without_files_gets_web_search_alone() -> None:
    capabilities = Capabilities(file_search=True, file_search_filters=True, web_search=True, code_interpreter=True)
    tools = offered(a_model(EVERYTHING), capabilities, Occasion(web_search=True, left=LEFT))
    assert (tools.names, tools.held) == (frozenset({Tool.WEB_SEARCH}), ToolCalls(web_search=3))


def test_file_search_is_limited_and_not_held() -> None:
    tools = offered(
        a_model(EVERYTHING),
        Capabilities(file_search=True, file_search_filters=True),
        Occasion(web_search=False, left=LEFT, files=FILES),
    )
    assert (tools.held, tools.limits) == (ToolCalls(), {ToolName.FILE_SEARCH: 2})


@pytest.mark.parametrize(("most", "searches", "told"), [(2, 3, 2), (3, 3, 3), (9, 3, 3), (2, 1, 1)])
def test_a_provider_is_told_no_more_calls_than_the_turn_has(most: int, searches: int, told: int) -> None:
    occasion = Occasion(web_search=True, left=ToolCalls(web_search=searches, code_interpreter=10))
    assert offered(a_model(EVERYTHING), Capabilities(web_search=True), occasion).calls_within(most) == told


def test_without_tools_the_catalogue_alone_says_how_many_calls() -> None:
    assert ToolSet().calls_within(2) == 2


METERED = (Tool.WEB_SEARCH, Tool.CODE_INTERPRETER)


@pytest.mark.parametrize("tool", METERED)
@pytest.mark.parametrize(("carried", "withheld"), [(True, False), (True, True), (False, True)])
def test_a_tool_that_could_have_been_offered_or_is_switched_off_may_not_be_called_once(
    tool: Tool, carried: bool, withheld: bool
) -> None:
    occasion = Occasion(web_search=False, withheld=frozenset({tool} if withheld else ()), left=LEFT)
    limits = offered(a_model(EVERYTHING), Capabilities(**{tool: carried}), occasion).limits
    assert limits == {ToolName(tool): 0}


def test_a_tool_that_a_server_uses_on_its_own_account_has_no_limit() -> None:
    assert offered(a_model(EVERYTHING), Capabilities(), Occasion(web_search=True, left=LEFT)).limits == {}


@pytest.mark.parametrize(
    ("only", "filters", "attached"), [(None, False, True), (("a",), False, False), (("a",), True, True)]
)
def test_a_search_that_cannot_be_narrowed_to_what_may_be_seen_is_not_made(
    only: tuple[str, ...] | None, filters: bool, attached: bool
) -> None:
    occasion = Occasion(web_search=False, left=LEFT, files=ChatFiles(store_id="store", only=only))
    capabilities = Capabilities(file_search=True, file_search_filters=filters)
    assert (Tool.FILE_SEARCH in offered(a_model(EVERYTHING), capabilities, occasion).names) is attached

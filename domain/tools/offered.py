"""Which tools a turn gets (providers-and-files.md 1.4, 4.9). Pure, and asked once for each model that may answer.

Guards, surcharges, estimate, hold, limits and the request itself follow from this one list: what is not on it costs
nothing and is not mentioned to the model.
"""

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from domain.catalogue.models import ModelSpec
from domain.providers.capabilities import Capabilities
from domain.providers.events import ToolName
from domain.providers.request import CodeInterpreter, FileSearch, RequestTool, WebSearch
from domain.switches.models import Tool
from domain.tools.calls import NO_CALLS, ToolCalls


class ChatFiles(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider has of a chat's ready files: the store of its documents, and remote ids of its spreadsheets.

    `only` narrows a search to these documents of the store.
    """

    store_id: str | None = None
    only: tuple[str, ...] | None = None
    spreadsheets: tuple[str, ...] = ()


NO_FILES: Final = ChatFiles()

_METERED: Final = frozenset({Tool.WEB_SEARCH, Tool.CODE_INTERPRETER})
"""Tools whose calls are counted by the day."""

_NAMES: Final[Mapping[type[RequestTool], Tool]] = {
    FileSearch: Tool.FILE_SEARCH,
    WebSearch: Tool.WEB_SEARCH,
    CodeInterpreter: Tool.CODE_INTERPRETER,
}


class Occasion(msgspec.Struct, frozen=True, kw_only=True):
    """What decides beside the model: the wish of the message, the switches, the calls left, and the files."""

    web_search: bool
    withheld: frozenset[Tool] = frozenset()
    left: ToolCalls
    files: ChatFiles = NO_FILES


class ToolSet(msgspec.Struct, frozen=True, kw_only=True):
    """`allowance` is how often each attached tool may be called; `exhausted` are those left out for want of calls.

    `refused` are those not attached that must not be called either. A tool that a server uses on its own account, and
    that nobody could have offered it, is not among them.
    """

    tools: tuple[RequestTool, ...] = ()
    allowance: ToolCalls = NO_CALLS
    exhausted: frozenset[Tool] = frozenset()
    refused: frozenset[Tool] = frozenset()

    @property
    def names(self) -> frozenset[Tool]:
        return frozenset(_NAMES[type(tool)] for tool in self.tools)

    @property
    def held(self) -> ToolCalls:
        """What has to be held of the day's calls."""
        return self.allowance.only(_METERED)

    @property
    def limits(self) -> Mapping[ToolName, int]:
        """After so many calls the next one ends the turn; of a refused tool that is the first."""
        return {ToolName(name): self.allowance.of(name) for name in self.refused | self.names}

    def calls_within(self, most: int) -> int:
        """What a provider is told that counts the calls of all tools together: it should stop before we have to."""
        return min(most, sum(self.allowance.of(name) for name in self.names)) if self.tools else most


def offered(model: ModelSpec, can: Capabilities, occasion: Occasion) -> ToolSet:
    """In a fixed order, so that equal turns make equal requests."""
    found = {name: look(model, can, occasion) for name, look in _LOOKS.items() if name not in occasion.withheld}
    wanted = {name: tool for name, tool in found.items() if tool is not None}
    attached = {name: tool for name, tool in wanted.items() if occasion.left.of(name) > 0}
    return ToolSet(
        tools=tuple(attached.values()),
        allowance=occasion.left.only(attached),
        exhausted=frozenset(wanted.keys() - attached.keys()),
        refused=frozenset(_could_be_called(can) | occasion.withheld) & _METERED - attached.keys(),
    )


def _could_be_called(can: Capabilities) -> set[Tool]:
    carried = {Tool.WEB_SEARCH: can.web_search, Tool.CODE_INTERPRETER: can.code_interpreter}
    return {tool for tool, is_carried in carried.items() if is_carried}


def _file_search(model: ModelSpec, can: Capabilities, occasion: Occasion) -> FileSearch | None:
    files = occasion.files
    if files.store_id is None or not (model.tool_support.file_search and can.file_search):
        return None
    if files.only is not None and not can.file_search_filters:
        return None  # it would find what may no longer be seen
    return FileSearch(store_id=files.store_id, max_num_results=model.max_num_results, only=files.only)


def _web_search(model: ModelSpec, can: Capabilities, occasion: Occasion) -> WebSearch | None:
    if not (occasion.web_search and model.tool_support.web_search and can.web_search):
        return None
    return WebSearch(context_size=model.web_search_context_size, max_uses=occasion.left.web_search)


def _code_interpreter(model: ModelSpec, can: Capabilities, occasion: Occasion) -> CodeInterpreter | None:
    spreadsheets = occasion.files.spreadsheets
    if not (spreadsheets and model.tool_support.code_interpreter and can.code_interpreter):
        return None
    return CodeInterpreter(file_ids=spreadsheets)


_LOOKS: Final[Mapping[Tool, Callable[[ModelSpec, Capabilities, Occasion], RequestTool | None]]] = {
    Tool.FILE_SEARCH: _file_search,
    Tool.WEB_SEARCH: _web_search,
    Tool.CODE_INTERPRETER: _code_interpreter,
}

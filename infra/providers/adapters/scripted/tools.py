"""Tools that a scripted model pretends to use: those of the request one after the other, again and again."""

from collections.abc import Iterator, Mapping
from itertools import cycle, islice
from typing import Final

import msgspec

from domain.providers.events import FunctionCall, ProviderEvent, ToolDone, ToolName, ToolStart
from domain.providers.request import CodeInterpreter, FileSearch, Function, RequestTool, WebSearch
from infra.providers.adapters.scripted.beats import Pause, Step
from infra.providers.adapters.scripted.minimal_json import minimal_json
from infra.providers.tool_pairs import EMPTY_DETAILS

_NAMES: Final[Mapping[type[RequestTool], ToolName]] = {
    FileSearch: ToolName.FILE_SEARCH,
    WebSearch: ToolName.WEB_SEARCH,
    CodeInterpreter: ToolName.CODE_INTERPRETER,
}


def tool_calls(count: int, tools: tuple[RequestTool, ...], each_ms: float) -> Iterator[Step]:
    """A request without tools is answered as if it offered a file search."""
    offered: tuple[RequestTool | None, ...] = tools or (None,)
    for number, tool in enumerate(islice(cycle(offered), count), start=1):
        start, *ends = _function(number, tool) if isinstance(tool, Function) else _remote(number, tool)
        yield start
        yield Pause(each_ms)
        yield from ends


def _remote(number: int, tool: RequestTool | None) -> tuple[ProviderEvent, ...]:
    key = f"tool-{number}"
    name = ToolName.FILE_SEARCH if tool is None else _NAMES[type(tool)]
    return ToolStart(key, name), ToolDone(key, name, EMPTY_DETAILS[name])


def _function(number: int, function: Function) -> tuple[ProviderEvent, ...]:
    key = f"tool-{number}"
    arguments = msgspec.json.encode(minimal_json(function.schema)).decode()
    call: dict[str, object] = {"call_id": key, "name": function.name}
    return (
        ToolStart(key, ToolName.FUNCTION_CALL, {"index": number - 1, **call}),
        ToolDone(key, ToolName.FUNCTION_CALL, {**call, "arguments": arguments}),
        FunctionCall(key=key, name=function.name, arguments=arguments),
    )

"""The tools of a request as a Responses server takes them."""

from collections.abc import Iterable, Mapping
from typing import Final

from domain.providers.request import CodeInterpreter, FileSearch, Function, RequestTool, WebSearch

_NAMES: Final[Mapping[type[RequestTool], str]] = {
    FileSearch: "file_search",
    WebSearch: "web_search",
    CodeInterpreter: "code_interpreter",
    Function: "function_call",
}
_RESULTS: Final[Mapping[type[RequestTool], str]] = {
    FileSearch: "file_search_call.results",
    CodeInterpreter: "code_interpreter_call.outputs",
}


def wire_tool(tool: RequestTool) -> dict[str, object]:
    match tool:
        case FileSearch():
            return {
                "type": "file_search",
                "vector_store_ids": [tool.store_id],
                "max_num_results": tool.max_num_results,
                **_only(tool),
            }
        case WebSearch():
            return {"type": "web_search", "search_context_size": tool.context_size}
        case CodeInterpreter():
            return {"type": "code_interpreter", "container": {"type": "auto", "file_ids": tool.file_ids}}
        case Function():
            return {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.schema,
                "strict": False,
            }


def tool_name(tool: RequestTool) -> str:
    return _NAMES[type(tool)]


def results_of(tools: Iterable[RequestTool]) -> list[str]:
    """What has to be asked for, so that snippets and outputs come at all."""
    return [_RESULTS[type(tool)] for tool in tools if type(tool) in _RESULTS]


def _only(tool: FileSearch) -> dict[str, object]:
    if tool.only is None:
        return {}
    return {"filters": {"type": "in", "key": "attachment_id", "value": tool.only}}

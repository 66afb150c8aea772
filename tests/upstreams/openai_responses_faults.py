"""What the public Responses API would not take: bodies that it answers with 400 or 404."""

from collections.abc import Collection, Iterator
from typing import Any, Final, TypeAlias

import msgspec

Members: TypeAlias = dict[str, Any]

_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "model": str,
    "input": (str, list),
    "instructions": str,
    "stream": bool,
    "store": bool,
    "max_output_tokens": int,
    "max_tool_calls": int,
    "temperature": (int, float),
    "top_p": (int, float),
    "reasoning": dict,
    "tools": list,
    "include": list,
    "metadata": dict,
    "safety_identifier": str,
    "user": str,
}
_INCLUDES: Final = {
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
}
_CONTENT: Final = {
    "user": {"input_text", "input_image", "input_file"},
    "system": {"input_text"},
    "developer": {"input_text"},
    "assistant": {"output_text", "refusal"},
}
_FEWEST_OUTPUT_TOKENS: Final = 16


class Fault(msgspec.Struct, frozen=True):
    status: int
    message: str
    param: str | None = None
    code: str | None = None

    @property
    def members(self) -> Members:
        return {"message": self.message, "type": "invalid_request_error", "param": self.param, "code": self.code}


def fault_of(body: bytes, models: Collection[str]) -> Fault | None:
    """The first thing wrong with a request, as the API would tell it."""
    try:
        members = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.MsgspecError:
        return Fault(400, "We could not parse the JSON body of your request.")
    return next(_faults(members, models), None)


def _faults(body: Members, models: Collection[str]) -> Iterator[Fault]:
    yield from _shape_faults(body)
    if body["model"] not in models:
        yield Fault(404, f"The model '{body['model']}' does not exist.", "model", "model_not_found")
    yield from _number_faults(body)
    yield from _input_faults(body["input"])
    yield from _tool_faults(body)
    if not _is_metadata(body.get("metadata", {})):
        yield Fault(400, "Invalid metadata.", "metadata", "invalid_value")
    if len(body.get("safety_identifier", "")) > 64:
        yield Fault(400, "String too long.", "safety_identifier", "string_above_max_length")


def _shape_faults(body: Members) -> Iterator[Fault]:
    for name in ("model", "input"):
        if name not in body:
            yield Fault(400, f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    for name, value in body.items():
        if name not in _TYPES:
            yield Fault(400, f"Unknown parameter: '{name}'.", name, "unknown_parameter")
        elif not isinstance(value, _TYPES[name]) or (type(value) is bool and _TYPES[name] is int):
            yield Fault(400, f"Invalid type for '{name}'.", name, "invalid_type")


def _number_faults(body: Members) -> Iterator[Fault]:
    if body.get("max_output_tokens", _FEWEST_OUTPUT_TOKENS) < _FEWEST_OUTPUT_TOKENS:
        yield Fault(400, "Integer below minimum value.", "max_output_tokens", "integer_below_min_value")
    if not 0 <= body.get("temperature", 1) <= 2:
        yield Fault(400, "Decimal out of range.", "temperature", "decimal_above_max_value")


def _tool_faults(body: Members) -> Iterator[Fault]:
    for number, tool in enumerate(body.get("tools", ())):
        if not _is_tool(tool):
            yield Fault(400, "Invalid tool.", f"tools[{number}]", "invalid_value")
    if not _INCLUDES.issuperset(body.get("include", ())):
        yield Fault(400, "Invalid value for 'include'.", "include", "invalid_value")


def _input_faults(given: str | list[object]) -> Iterator[Fault]:
    if isinstance(given, str):
        return
    if not given:
        yield Fault(400, "Input must not be empty.", "input", "empty_array")
    for number, item in enumerate(given):
        if not _is_message(item):
            yield Fault(400, "Invalid input item.", f"input[{number}]", "invalid_value")


def _is_message(item: object) -> bool:
    match item:
        case {"role": str(role), "content": str(), **rest} if role in _CONTENT:
            return rest.get("type", "message") == "message"
        case {"role": str(role), "content": list(parts), **rest} if role in _CONTENT and parts:
            known = all(isinstance(part, dict) and part.get("type") in _CONTENT[role] for part in parts)
            return known and rest.get("type", "message") == "message"
    return False


def _is_tool(tool: object) -> bool:
    match tool:
        case {"type": "file_search", "vector_store_ids": [str(), *_], **rest}:
            return set(rest) <= {"max_num_results", "filters", "ranking_options"} and _is_filter(rest.get("filters"))
        case {"type": "web_search" | "web_search_preview", **rest}:
            return rest.get("search_context_size", "medium") in {"low", "medium", "high"}
        case {"type": "code_interpreter", "container": {"type": "auto", "file_ids": list()}}:
            return True
        case {"type": "function", "name": str(), "parameters": dict(), "strict": bool()}:
            return True
    return False


def _is_filter(given: object) -> bool:
    match given:
        case None:
            return True
        case {"type": "in" | "nin", "key": str(), "value": list()}:
            return True
        case {"type": "eq" | "ne", "key": str(), "value": str() | int() | float() | bool()}:
            return True
    return False


def _is_metadata(given: Members) -> bool:
    return len(given) <= 16 and all(len(k) <= 64 and isinstance(v, str) and len(v) <= 512 for k, v in given.items())

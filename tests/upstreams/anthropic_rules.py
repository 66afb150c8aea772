"""What the Messages API wants of a request, as its public documentation says; each breach with its status."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from tests.harness.upstream import Exchange

Json = dict[str, Any]

MAX_REQUEST_BYTES: Final = 32 * 1024 * 1024
VERSIONS: Final = {"2023-06-01", "2026-10-21"}
MODELS: Final = {"claude-test"}
_LEAST_BUDGET: Final = 1_024
_EFFORTS: Final = {"low", "medium", "high", "xhigh", "max"}
_TOOL_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_WEB_SEARCH: Final = re.compile(r"web_search_20[0-9]{6}")


class Refused(Exception):
    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def check(exchange: Exchange, key: str) -> Json:
    """The request's body, if the API would answer it."""
    if exchange.target.partition("?")[0] != "/v1/messages":
        raise Refused(404, "Not found")
    if key not in {
        exchange.headers.get("x-api-key"),
        exchange.headers.get("authorization", "").removeprefix("Bearer "),
    }:
        raise Refused(401, "invalid x-api-key")
    _want(exchange.headers.get("anthropic-version") in VERSIONS, "anthropic-version: header is required")
    if len(exchange.body) > MAX_REQUEST_BYTES:
        raise Refused(413, "Request exceeds the maximum size")
    body: Json = msgspec.json.decode(exchange.body)
    for name in body:
        _want(name in _MEMBERS, f"{name}: Extra inputs are not permitted")
    for name, rule in _MEMBERS.items():
        rule(body, body.get(name))
    return body


def _want(held: object, words: str) -> None:
    if not held:
        raise Refused(400, words)


def _model(_: Json, model: object) -> None:
    _want(isinstance(model, str), "model: Field required")
    if model not in MODELS:
        raise Refused(404, f"model: {model}")


def _max_tokens(_: Json, limit: object) -> None:
    _want(type(limit) is int and limit > 0, "max_tokens: Field required")


def _messages(_: Json, messages: object) -> None:
    _want(isinstance(messages, list) and messages, "messages: at least one message is required")
    assert isinstance(messages, list)
    for at, each in enumerate(messages):
        _want(set(each) == {"role", "content"}, f"messages.{at}: Field required")
        _want(each["role"] in {"user", "assistant"}, f"messages.{at}.role: Input should be 'user' or 'assistant'")
        _texts(f"messages.{at}.content", each["content"])
    _want(messages[0]["role"] == "user", 'messages: first message must use the "user" role')
    _want(messages[-1]["role"] == "user", "This model does not support assistant message prefill.")


def _texts(place: str, content: object) -> None:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    _want(isinstance(content, list) and content, f"{place}: content must be non-empty")
    assert isinstance(content, list)
    for block in content:
        _want(set(block) <= {"type", "text", "cache_control"}, f"{place}: Extra inputs are not permitted")
        _want(block["type"] == "text", f"{place}.type: Input tag found does not match")
        _want(block["text"].strip(), "messages: text content blocks must contain non-whitespace text")
        _want(block.get("cache_control") in (None, {"type": "ephemeral"}), f"{place}.cache_control: Invalid")


def _system(_: Json, system: object) -> None:
    if system is not None:
        _texts("system", system)


def _stream(_: Json, stream: object) -> None:
    _want(stream in (None, True, False), "stream: Input should be a valid boolean")


def _tools(_: Json, tools: object) -> None:
    names: list[str] = []
    for at, tool in enumerate(tools if isinstance(tools, list) else []):
        names.append(tool["name"])
        _want(_TOOL_NAME.fullmatch(tool["name"]), f"tools.{at}.custom.name: String should match pattern")
        if "type" in tool and tool["type"] != "custom":
            _web_search(at, tool)
            continue
        _want(set(tool) <= {"type", "name", "description", "input_schema"}, f"tools.{at}: Extra inputs")
        _want(tool["input_schema"].get("type") == "object", f"tools.{at}.custom.input_schema.type: Field required")
    _want(len(set(names)) == len(names), "tools: Tool names must be unique.")


def _web_search(at: int, tool: Json) -> None:
    _want(_WEB_SEARCH.fullmatch(tool["type"]), f"tools.{at}: Input tag '{tool['type']}' does not match")
    _want(tool["name"] == "web_search", f"tools.{at}.name: Input should be 'web_search'")
    _want(set(tool) <= {"type", "name", "max_uses"}, f"tools.{at}: Extra inputs are not permitted")
    _want(tool.get("max_uses", 1) > 0, f"tools.{at}.max_uses: Input should be greater than 0")


def _thinking(body: Json, thinking: object) -> None:
    if thinking is None:
        return
    assert isinstance(thinking, dict)
    _want(thinking.get("type") in {"enabled", "adaptive", "disabled"}, "thinking.type: Input tag does not match")
    _want(thinking.get("display") in {None, "summarized", "omitted"}, "thinking.display: Input should be 'summarized'")
    if thinking["type"] == "enabled":
        budget = thinking.get("budget_tokens", 0)
        _want(budget >= _LEAST_BUDGET, "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024")
        _want(budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`")
    if thinking["type"] != "disabled":
        _want("temperature" not in body and "top_k" not in body, "`temperature` may only be set to 1 when thinking")


def _output_config(_: Json, config: object) -> None:
    if config is not None:
        assert isinstance(config, dict)
        _want(config.get("effort") in _EFFORTS, "output_config.effort: Input should be 'low', 'medium' or 'high'")


def _metadata(_: Json, metadata: object) -> None:
    if metadata is not None:
        assert isinstance(metadata, dict)
        _want(set(metadata) <= {"user_id"}, "metadata: Extra inputs are not permitted")
        _want(len(metadata.get("user_id", "")) <= 256, "metadata.user_id: String should have at most 256 characters")


def _temperature(body: Json, temperature: object) -> None:
    if temperature is not None:
        assert isinstance(temperature, (int, float))
        _want(0 <= temperature <= 1, "temperature: range: 0..1")
        _want("top_p" not in body, "`temperature` and `top_p` cannot both be specified for this model.")


def _top_p(_: Json, top_p: object) -> None:
    _want(top_p is None or (isinstance(top_p, (int, float)) and 0 <= top_p <= 1), "top_p: range: 0..1")


def _top_k(_: Json, top_k: object) -> None:
    _want(top_k is None or (isinstance(top_k, int) and top_k >= 0), "top_k: Input should be a valid integer")


def _stop_sequences(_: Json, stops: object) -> None:
    if stops is not None:
        _want(isinstance(stops, list), "stop_sequences: Input should be a valid list")
        assert isinstance(stops, list)
        _want(all(each.strip() for each in stops), "stop_sequences: each stop sequence must contain non-whitespace")


def _anything(_: Json, __: object) -> None:
    pass


_MEMBERS: Final[Mapping[str, Callable[[Json, Any], None]]] = {
    "model": _model,
    "max_tokens": _max_tokens,
    "messages": _messages,
    "system": _system,
    "stream": _stream,
    "tools": _tools,
    "tool_choice": _anything,
    "thinking": _thinking,
    "output_config": _output_config,
    "metadata": _metadata,
    "temperature": _temperature,
    "top_p": _top_p,
    "top_k": _top_k,
    "stop_sequences": _stop_sequences,
    "service_tier": _anything,
}

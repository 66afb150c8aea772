from typing import Any

import msgspec
import pytest

from domain.providers.capabilities import Capabilities
from domain.providers.request import (
    AssistantText,
    CodeInterpreter,
    ContextBlock,
    FileSearch,
    Function,
    Pseudonyms,
    RequestTool,
    UserText,
    WebSearch,
)
from infra.providers.adapters.openai_responses.request import OpenAiResponses
from infra.providers.call_headers import CallHeaders
from infra.providers.secrets import Secret
from infra.providers.settings import AuthSettings, Flavour, ProviderKind, ProviderSettings, UserField
from tests.harness.provider_calls import request_for
from tests.upstreams.openai_responses import MODEL
from tests.upstreams.openai_responses_faults import fault_of

WHO = Pseudonyms(tenant="7e4a47", user="05e401", chat="c4a7")
FILES = FileSearch(store_id="vs_1", max_num_results=5)
WEB = WebSearch(context_size="high", max_uses=2)
CODE = CodeInterpreter(file_ids=("file-1", "file-2"))
WEATHER = Function(name="weather", description="Says it.", schema={"type": "object", "properties": {}})


def adapter(key: str | None = "sk-1", **settings: Any) -> OpenAiResponses:
    settings = {"base_url": "https://api.example.com", **settings}
    built = ProviderSettings(kind=ProviderKind.OPENAI_RESPONSES, **settings)
    return OpenAiResponses(built, CallHeaders(built, Secret(key) if key else None, {}, "mini-chat/1"))


def body(server: OpenAiResponses, **changes: object) -> dict[str, Any]:
    """As the server reads it, which the public API would have taken."""
    encoded = server.encode(request_for(MODEL, **changes)).body
    assert fault_of(encoded, {MODEL}) is None
    decoded: dict[str, Any] = msgspec.json.decode(encoded)
    return decoded


def test_the_plain_body_is_exactly_this() -> None:
    assert body(adapter()) == {
        "model": MODEL,
        "stream": True,
        "store": False,
        "instructions": "Be kind.",
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello there"}]}],
        "max_output_tokens": 1_000,
        "metadata": {"request_type": "chat", "feature": "none"},
    }


def test_what_is_not_there_is_not_sent() -> None:
    sent = body(adapter(), instructions=None)
    assert "instructions" not in sent
    assert not {"tools", "include", "max_tool_calls", "safety_identifier", "previous_response_id"} & set(sent)


@pytest.mark.parametrize(("as_string", "content"), [(False, [{"type": "output_text", "text": "b"}]), (True, "b")])
def test_the_history_is_a_list_of_messages(as_string: bool, content: object) -> None:
    items = (UserText("a"), AssistantText("b"), ContextBlock("Known: c"), UserText("d"))
    sent = body(adapter(assistant_as_string=as_string), items=items)["input"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user", "user"]
    assert sent[1] == {"type": "message", "role": "assistant", "content": content}
    assert [message["content"][0]["text"] for message in (sent[0], sent[2], sent[3])] == ["a", "Known: c", "d"]


def test_every_tool_has_its_form() -> None:
    sent = body(adapter(), tools=(FILES, WEB, CODE, WEATHER), max_tool_calls=9)
    assert sent["tools"] == [
        {"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 5},
        {"type": "web_search", "search_context_size": "high"},
        {"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1", "file-2"]}},
        {
            "type": "function",
            "name": "weather",
            "description": "Says it.",
            "parameters": {"type": "object", "properties": {}},
            "strict": False,
        },
    ]
    assert sent["max_tool_calls"] == 9
    assert sent["include"] == ["file_search_call.results", "code_interpreter_call.outputs"]
    assert sent["metadata"]["feature"] == "file_search+web_search+code_interpreter+function_call"


@pytest.mark.parametrize(
    ("tools", "include"),
    [
        ((FILES,), ["file_search_call.results"]),
        ((CODE,), ["code_interpreter_call.outputs"]),
        ((WEB,), None),
        ((), None),
    ],
)
def test_results_are_asked_for_with_their_tools(tools: tuple[RequestTool, ...], include: list[str] | None) -> None:
    assert body(adapter(), tools=tools).get("include") == include
    assert "include" not in body(adapter(tool_results=False), tools=tools)


def test_a_search_is_narrowed_to_what_may_be_seen() -> None:
    narrowed = msgspec.structs.replace(FILES, only=("a-1", "a-2"))
    assert body(adapter(), tools=(narrowed,))["tools"][0]["filters"] == {
        "type": "in",
        "key": "attachment_id",
        "value": ["a-1", "a-2"],
    }


@pytest.mark.parametrize(
    ("field", "name"),
    [(None, "safety_identifier"), (UserField.USER, "user"), (UserField.NONE, None)],
)
def test_pseudonyms_stand_for_who_asks(field: UserField | None, name: str | None) -> None:
    sent = body(adapter(user_field=field), pseudonyms=WHO)
    assert [key for key, value in sent.items() if value == "05e401"] == ([name] if name else [])
    assert sent["metadata"] == {
        "tenant": "7e4a47",
        "user": "05e401",
        "chat": "c4a7",
        "request_type": "chat",
        "feature": "none",
    }


def test_only_known_parameters_are_sent() -> None:
    params: dict[str, object] = {"temperature": 0.2, "top_p": 0.9, "reasoning_effort": "low", "stop": ["x"], "seed": 1}
    sent = body(adapter(), params={**params, "frequency_penalty": 1, "model": "other"})
    assert (sent["temperature"], sent["top_p"], sent["reasoning"]) == (0.2, 0.9, {"effort": "low"})
    assert not {"stop", "seed", "frequency_penalty", "reasoning_effort"} & set(sent)
    assert sent["model"] == MODEL


def test_an_operators_members_come_last_and_replace_only_include_and_metadata() -> None:
    extra = {"truncation": "auto", "include": [], "metadata": {"team": "7"}, "store": True, "tools": [], "input": "x"}
    server = adapter(extra_body=extra)
    sent = msgspec.json.decode(server.encode(request_for(MODEL, params={"extra_body": {"truncation": "off"}})).body)
    assert (sent["truncation"], sent["include"], sent["metadata"], sent["store"]) == ("off", [], {"team": "7"}, False)
    assert isinstance(sent["input"], list)
    assert "tools" not in sent


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://api.example.com/v1/responses"),
        ({"base_url": "https://api.example.com/v1/"}, "https://api.example.com/v1/responses"),
        ({"flavour": Flavour.AZURE}, "https://api.example.com/openai/v1/responses"),
        (
            {"flavour": Flavour.AZURE, "api_version": "preview"},
            "https://api.example.com/openai/v1/responses?api-version=preview",
        ),
        ({"responses_path": "/d/{model}/responses"}, "https://api.example.com/d/gpt-fake%2F1%3F/responses"),
        ({"responses_path": ""}, "https://api.example.com"),
    ],
)
def test_the_path_follows_flavour_and_version(settings: dict[str, Any], url: str) -> None:
    assert adapter(**settings).encode(request_for("gpt-fake/1?")).url == url


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [
        ({}, "Authorization", "Bearer sk-1"),
        ({"flavour": Flavour.AZURE}, "api-key", "sk-1"),
        ({"auth": AuthSettings(header="X-Key")}, "X-Key", "sk-1"),
    ],
)
def test_the_key_travels_in_its_header(settings: dict[str, Any], header: str, value: str) -> None:
    headers = adapter(**settings).encode(request_for(MODEL)).headers
    assert {name: each for name, each in headers.items() if "sk-1" in each} == {header: value}
    assert not any("sk-1" in each for each in adapter(None, **settings).encode(request_for(MODEL)).headers.values())


def test_every_tool_can_be_carried() -> None:
    assert adapter().capabilities == Capabilities(
        file_search=True,
        file_search_filters=True,
        web_search=True,
        code_interpreter=True,
        function_tools=True,
        reasoning=True,
    )


def test_an_operator_says_where_searches_cannot_be_narrowed() -> None:
    assert not adapter(file_search_filters=False).capabilities.file_search_filters


def test_the_last_frame_may_be_four_times_as_large_as_elsewhere() -> None:
    of_kind = {kind: ProviderSettings(kind=kind).largest_frame_bytes for kind in ProviderKind}
    assert of_kind.pop(ProviderKind.OPENAI_RESPONSES) == 4 * 1024 * 1024
    assert set(of_kind.values()) == {1024 * 1024}
    assert ProviderSettings(kind=ProviderKind.OPENAI_RESPONSES, max_frame_bytes=2_000).largest_frame_bytes == 2_000

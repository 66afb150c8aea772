from typing import Any

import msgspec
import pytest

from domain.providers.request import (
    AssistantText,
    CodeInterpreter,
    ContextBlock,
    FileSearch,
    Function,
    Pseudonyms,
    UserText,
    WebSearch,
)
from infra.providers.adapters.openai_chat.request import OpenAiChat
from infra.providers.call_headers import CallHeaders
from infra.providers.secrets import Secret
from infra.providers.settings import AuthSettings, Flavour, ProviderKind, ProviderSettings, SystemRole, UserField
from tests.harness.provider_calls import request_for


def adapter(key: str | None = "sk-1", extra: dict[str, Secret] | None = None, **settings: Any) -> OpenAiChat:
    settings = {"base_url": "https://api.example.com", **settings}
    built = ProviderSettings(kind=ProviderKind.OPENAI_CHAT, **settings)
    return OpenAiChat(built, CallHeaders(built, Secret(key) if key else None, extra or {}, "mini-chat/1"))


def body(chat: OpenAiChat, **changes: object) -> dict[str, Any]:
    decoded: dict[str, Any] = msgspec.json.decode(chat.encode(request_for("gpt", **changes)).body)
    return decoded


def test_the_plain_body_is_exactly_this() -> None:
    assert body(adapter()) == {
        "model": "gpt",
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello there"}],
        "max_tokens": 1_000,
    }


@pytest.mark.parametrize(
    ("settings", "url"),
    [
        ({}, "https://api.example.com/v1/chat/completions"),
        ({"base_url": "https://h/v1"}, "https://h/v1/chat/completions"),
        ({"base_url": "https://h/v1/"}, "https://h/v1/chat/completions"),
        ({"flavour": Flavour.AZURE}, "https://api.example.com/openai/v1/chat/completions"),
        ({"flavour": Flavour.AZURE, "base_url": "https://h/openai"}, "https://h/openai/v1/chat/completions"),
        ({"flavour": Flavour.AZURE, "base_url": "https://h/openai/v1/"}, "https://h/openai/v1/chat/completions"),
        ({"chat_path": "/x/{model}/go"}, "https://api.example.com/x/a%2Fb/go"),
        ({"chat_path": ""}, "https://api.example.com"),
        (
            {"flavour": Flavour.AZURE, "api_version": "preview"},
            "https://api.example.com/openai/v1/chat/completions?api-version=preview",
        ),
        (
            {"chat_path": "/openai/deployments/{model}/chat/completions", "api_version": "2024-10-21"},
            "https://api.example.com/openai/deployments/a%2Fb/chat/completions?api-version=2024-10-21",
        ),
    ],
)
def test_the_path_fits_the_base_url(settings: dict[str, Any], url: str) -> None:
    assert adapter(**settings).encode(request_for("a/b")).url == url


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [
        ({}, "Authorization", "Bearer sk-1"),
        ({"flavour": Flavour.AZURE}, "api-key", "sk-1"),
        ({"auth": AuthSettings(header="X-Key")}, "X-Key", "sk-1"),
        ({"auth": AuthSettings(header="X-Key", prefix="Token ")}, "X-Key", "Token sk-1"),
    ],
)
def test_the_key_travels_in_its_header(settings: dict[str, Any], header: str, value: str) -> None:
    assert adapter(**settings).encode(request_for("gpt")).headers[header] == value


def test_without_a_key_nothing_is_claimed() -> None:
    assert set(adapter(key=None).encode(request_for("gpt")).headers) == {
        "Content-Type",
        "Accept",
        "Accept-Encoding",
        "User-Agent",
    }


def test_extra_headers_travel_and_the_call_prints_no_secret() -> None:
    call = adapter(extra={"X-Org": Secret("team-7")}).encode(request_for("gpt"))
    assert call.headers["X-Org"] == "team-7"
    assert repr(call) == f"HttpCall({len(call.body)} bytes)"


def test_the_trace_is_propagated_unless_switched_off() -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = request_for("gpt", traceparent=trace)
    assert adapter().encode(request).headers["traceparent"] == trace
    assert "traceparent" not in adapter(propagate_trace=False).encode(request).headers


@pytest.mark.parametrize(
    ("role", "expected"),
    [
        (SystemRole.SYSTEM, [("system", "Be kind."), ("user", "Hello there")]),
        (SystemRole.DEVELOPER, [("developer", "Be kind."), ("user", "Hello there")]),
        (SystemRole.FOLD, [("user", "Be kind.\n\nHello there")]),
    ],
)
def test_instructions_take_the_role_the_server_knows(role: SystemRole, expected: list[tuple[str, str]]) -> None:
    messages = body(adapter(system_role=role))["messages"]
    assert [(message["role"], message["content"]) for message in messages] == expected


def test_neighbours_of_one_role_are_joined_unless_allowed() -> None:
    items = (UserText("a"), UserText("b"), AssistantText("c"), AssistantText("d"), UserText("e"))
    joined = body(adapter(), items=items, instructions=None)["messages"]
    assert [message["content"] for message in joined] == ["a\n\nb", "c\n\nd", "e"]
    assert len(body(adapter(allow_repeated_roles=True), items=items, instructions=None)["messages"]) == 5


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"flavour": Flavour.OPENAI}, "max_completion_tokens"),
        ({"flavour": Flavour.AZURE}, "max_completion_tokens"),
        ({"flavour": Flavour.OLLAMA}, "max_tokens"),
        ({"max_tokens_field": "n_predict"}, "n_predict"),
    ],
)
def test_the_output_limit_is_always_sent(settings: dict[str, Any], field: str) -> None:
    assert body(adapter(**settings))[field] == 1_000


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"flavour": Flavour.OPENAI}, "safety_identifier"),
        ({"flavour": Flavour.AZURE}, "user"),
        ({"user_field": UserField.USER}, "user"),
        ({}, None),
        ({"flavour": Flavour.OPENAI, "user_field": UserField.NONE}, None),
    ],
)
def test_the_pseudonym_is_sent_where_it_is_wanted(settings: dict[str, Any], field: str | None) -> None:
    sent = body(adapter(**settings), pseudonyms=Pseudonyms(tenant="t", user="p5eud0nym", chat="c"))
    assert [name for name, value in sent.items() if value == "p5eud0nym"] == ([field] if field else [])


def test_only_known_parameters_are_sent_and_none_may_replace_ours() -> None:
    params: dict[str, object] = {"temperature": 0.2, "n": 5, "store": True, "model": "other", "stop": ["x"]}
    sent = body(adapter(usage_option=False), params=params)
    assert set(sent) == {"model", "stream", "messages", "max_tokens", "temperature", "stop"}
    assert sent["model"] == "gpt"


def test_functions_are_offered_and_no_tool_that_the_remote_would_run() -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    function = Function(name="weather", description="The weather in a city.", schema=schema)
    remote = (
        FileSearch(store_id="vs_1", max_num_results=5),
        WebSearch(context_size="low", max_uses=2),
        CodeInterpreter(),
    )
    assert body(adapter(), tools=(*remote, function), max_tool_calls=2)["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "The weather in a city.", "parameters": schema},
        }
    ]
    assert "tools" not in body(adapter(), tools=remote)


def test_context_comes_from_the_user_and_apart_from_what_was_asked() -> None:
    items = (ContextBlock("[notes]"), AssistantText("ok"), ContextBlock("[more]"), UserText("So?"))
    assert body(adapter(allow_repeated_roles=True), items=items, instructions=None)["messages"] == [
        {"role": "user", "content": "[notes]"},
        {"role": "assistant", "content": "ok"},
        {"role": "user", "content": "[more]"},
        {"role": "user", "content": "So?"},
    ]
    assert body(adapter(), items=items, instructions=None)["messages"][-1]["content"] == "[more]\n\nSo?"


def test_extra_members_stand_beside_ours_and_the_catalogue_entry_has_the_last_word() -> None:
    chat = adapter(extra_body={"service_tier": "flex", "top_k": 1, "temperature": 9})
    params: dict[str, object] = {"temperature": 0.2, "extra_body": {"top_k": 40, "guided": {"choice": ["a"]}}}
    sent = body(chat, params=params)
    assert {name: sent[name] for name in ("service_tier", "top_k", "guided", "temperature")} == {
        "service_tier": "flex",
        "top_k": 40,
        "guided": {"choice": ["a"]},
        "temperature": 0.2,
    }
    assert "extra_body" not in sent


@pytest.mark.parametrize("flavour", [Flavour.OPENAI, Flavour.VLLM])
def test_no_extra_member_replaces_one_of_ours_or_adds_what_is_never_sent(flavour: Flavour) -> None:
    plain = body(adapter(flavour=flavour))
    forbidden = ("tools", "max_tokens", "max_completion_tokens", "n", "store", "metadata", "logprobs")
    extra: dict[str, object] = dict.fromkeys((*plain, *forbidden), 7)
    assert body(adapter(flavour=flavour, extra_body=extra), params={"extra_body": extra}) == plain


@pytest.mark.parametrize("extra", [None, 7, ["n"], "n"])
def test_extra_members_that_are_no_table_count_as_none(extra: object) -> None:
    assert body(adapter(), params={"extra_body": extra}) == body(adapter())

from typing import Any

import pytest

from domain.providers.request import (
    AssistantText,
    CodeInterpreter,
    ContextBlock,
    FileSearch,
    Function,
    Item,
    Pseudonyms,
    UserText,
    WebSearch,
)
from infra.providers.adapters.anthropic.request import Anthropic
from infra.providers.call_headers import CallHeaders
from infra.providers.secrets import Secret
from infra.providers.settings import AuthSettings, ProviderKind, ProviderSettings, ThinkingMode, UserField
from tests.harness.provider_calls import request_for
from tests.harness.upstream import Exchange
from tests.upstreams.anthropic_rules import check

SEARCH = WebSearch(context_size="low", max_uses=3)
WEATHER = Function(name="weather", description="Of a place.", schema={"type": "object"})


def adapter(**settings: Any) -> Anthropic:
    settings = {"base_url": "https://api.example.com", **settings}
    built = ProviderSettings(kind=ProviderKind.ANTHROPIC, **settings)
    return Anthropic(built, CallHeaders(built, Secret("sk-1"), {}, "mini-chat/1"))


def body(messages: Anthropic, **changes: object) -> dict[str, Any]:
    """As the API would take it, which the fake one says."""
    sent = messages.encode(request_for("claude-test", **changes))
    headers = {name.lower(): value for name, value in sent.headers.items()}
    return check(Exchange(1, "/v1/messages", headers, sent.body), "sk-1")


def test_the_plain_body_is_exactly_this() -> None:
    assert body(adapter()) == {
        "model": "claude-test",
        "stream": True,
        "max_tokens": 1_000,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello there"}]}],
        "system": [{"type": "text", "text": "Be kind."}],
    }


@pytest.mark.parametrize("base_url", ["https://h", "https://h/", "https://h/v1", "https://h/v1/"])
def test_the_path_fits_the_base_url(base_url: str) -> None:
    assert adapter(base_url=base_url).encode(request_for("claude")).url == "https://h/v1/messages"


@pytest.mark.parametrize(
    ("settings", "header", "value"),
    [
        ({}, "x-api-key", "sk-1"),
        ({"auth": AuthSettings(header="Authorization")}, "Authorization", "Bearer sk-1"),
        ({}, "anthropic-version", "2023-06-01"),
        ({"anthropic_version": "2026-10-21"}, "anthropic-version", "2026-10-21"),
        ({}, "anthropic-beta", None),
        ({"anthropic_beta": ("one-2026-01-01", "two")}, "anthropic-beta", "one-2026-01-01,two"),
    ],
)
def test_the_headers_name_the_key_and_the_version(settings: dict[str, Any], header: str, value: str | None) -> None:
    assert adapter(**settings).encode(request_for("claude")).headers.get(header) == value


@pytest.mark.parametrize("instructions", [None, "", " \n"])
def test_without_instructions_there_is_no_system_block(instructions: str | None) -> None:
    assert "system" not in body(adapter(), instructions=instructions)


def test_the_instructions_may_be_cached() -> None:
    (block,) = body(adapter(prompt_cache=True))["system"]
    assert block == {"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ((UserText("a"),), ["user a"]),
        ((UserText("a"), AssistantText("b"), UserText("c")), ["user a", "assistant b", "user c"]),
        ((AssistantText("x"), AssistantText("y"), UserText("a")), ["user a"]),
        (
            (UserText("a"), UserText("b"), AssistantText("c"), AssistantText("d"), UserText("e")),
            ["user a|b", "assistant c|d", "user e"],
        ),
        ((UserText("a"), AssistantText(""), UserText("b")), ["user a|b"]),
        ((UserText("a"), AssistantText(" \n"), UserText("b")), ["user a|b"]),
        ((ContextBlock("sum"), AssistantText("b"), UserText("c")), ["user sum", "assistant b", "user c"]),
        (
            (UserText("a"), AssistantText("b"), ContextBlock("doc"), UserText(" c ")),
            ["user a", "assistant b", "user doc| c "],
        ),
    ],
)
def test_messages_alternate_and_none_is_empty(items: tuple[Item, ...], expected: list[str]) -> None:
    messages = body(adapter(), items=items)["messages"]
    assert all(block["type"] == "text" for message in messages for block in message["content"])
    shown = [f"{each['role']} {'|'.join(block['text'] for block in each['content'])}" for each in messages]
    assert shown == expected


def test_web_search_and_functions_are_the_tools_it_can_carry() -> None:
    tools = (SEARCH, WEATHER, FileSearch(store_id="vs", max_num_results=5), CodeInterpreter())
    assert body(adapter(), tools=tools)["tools"] == [
        {"type": "web_search_20250305", "name": "web_search", "max_uses": 3},
        {"name": "weather", "description": "Of a place.", "input_schema": {"type": "object"}},
    ]
    assert "tools" not in body(adapter(), tools=tools[2:])


def test_the_version_of_the_search_tool_can_be_chosen() -> None:
    (tool,) = body(adapter(web_search_tool_type="web_search_20260318"), tools=(SEARCH,))["tools"]
    assert tool["type"] == "web_search_20260318"


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"temperature": 0.2}, {"temperature": 0.2}),
        ({"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2}),
        ({"top_p": 0.9, "top_k": 5}, {"top_p": 0.9, "top_k": 5}),
        ({"stop": "END"}, {"stop_sequences": ["END"]}),
        ({"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ({"seed": 7, "presence_penalty": 1, "model": "other", "reasoning_effort": "low"}, {}),
    ],
)
def test_only_catalogued_parameters_that_it_knows_are_sent(
    params: dict[str, object], expected: dict[str, object]
) -> None:
    assert body(adapter(), params=params) == {**body(adapter()), **expected}


@pytest.mark.parametrize(
    ("settings", "max_output_tokens", "expected"),
    [
        ({"thinking_mode": ThinkingMode.OFF}, 9_000, {"temperature": 0.2}),
        (
            {"thinking_mode": ThinkingMode.ADAPTIVE},
            9_000,
            {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
        ),
        (
            {"thinking_mode": ThinkingMode.ADAPTIVE, "thinking_display": "summarized"},
            9_000,
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "low"}},
        ),
        ({"thinking_mode": ThinkingMode.BUDGET}, 9_000, {"thinking": {"type": "enabled", "budget_tokens": 4_096}}),
        ({"thinking_mode": ThinkingMode.BUDGET}, 1_025, {"thinking": {"type": "enabled", "budget_tokens": 1_024}}),
        ({"thinking_mode": ThinkingMode.BUDGET}, 1_024, {"temperature": 0.2}),
        ({"thinking_mode": ThinkingMode.ADAPTIVE}, 30, {"temperature": 0.2}),
    ],
)
def test_thinking_leaves_room_for_an_answer_and_takes_no_sampling(
    settings: dict[str, Any], max_output_tokens: int, expected: dict[str, object]
) -> None:
    params = {"temperature": 0.2, "reasoning_effort": "low"}
    sent = body(adapter(**settings), params=params, max_output_tokens=max_output_tokens)
    assert {name: sent[name] for name in ("thinking", "output_config", "temperature") if name in sent} == expected


def test_the_user_is_known_by_pseudonym_alone() -> None:
    known = Pseudonyms(tenant="t", user="p5eud0nym", chat="c")
    assert body(adapter(), pseudonyms=known)["metadata"] == {"user_id": "p5eud0nym"}
    assert "metadata" not in body(adapter(user_field=UserField.NONE), pseudonyms=known)
    assert "metadata" not in body(adapter())


def test_it_carries_searches_functions_and_reasoning() -> None:
    can = adapter().capabilities
    assert (can.web_search, can.function_tools, can.reasoning) == (True, True, True)
    assert (can.file_search, can.code_interpreter) == (False, False)


def test_further_members_stand_beside_what_was_built_and_replace_nothing() -> None:
    extra: dict[str, object] = {"service_tier": "auto", "temperature": 0.1, "tools": [], "system": "x", "max_tokens": 1}
    own: dict[str, object] = {"temperature": 0.9, "extra_body": {"service_tier": "standard_only", "stream": False}}
    sent = body(adapter(extra_body=extra), params=own, instructions=None)
    expected = {**body(adapter(), instructions=None), "temperature": 0.9, "service_tier": "standard_only"}
    assert sent == expected


def test_a_model_may_think_though_its_provider_does_not() -> None:
    params = {"extra_body": {"thinking": {"type": "enabled", "budget_tokens": 2_000}}}
    sent = body(adapter(), params=params, max_output_tokens=4_000)
    assert sent["thinking"] == {"type": "enabled", "budget_tokens": 2_000}

"""Our adapter against the fake that the official client has approved of, and against what only a socket shows."""

from datetime import timedelta
from typing import Any, Final

import anyio
import pytest

from domain.providers.errors import FailureKind
from domain.providers.events import (
    Accepted,
    Completed,
    Finish,
    FunctionCall,
    ProviderEvent,
    TextDelta,
    ToolDone,
    ToolStart,
    Usage,
)
from domain.providers.request import (
    AssistantText,
    ContextBlock,
    Deadlines,
    Function,
    ProviderRequest,
    Pseudonyms,
    UserText,
)
from infra.providers.settings import Flavour, SystemRole
from tests.harness.chat_upstream import ChatUpstream, chat_upstream
from tests.harness.provider_calls import collected, failure, request_for, said
from tests.harness.upstream import DONE, finish, frame, refusal, sse
from tests.harness.wire_shapes import joined
from tests.upstreams.openai_chat import (
    CACHED_TOKENS,
    KEY,
    MODEL,
    PROMPT_TOKENS,
    WINDOW_TOKENS,
    Called,
    ChatServer,
    error,
    throttled,
)

WEATHER: Final = Function(
    name="get_weather",
    description="The weather in a city.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}},
)
EVERYTHING: Final = request_for(
    MODEL,
    items=(ContextBlock("[notes]"), UserText("Hi"), AssistantText("Hello"), UserText("And now?")),
    params={
        "temperature": 0.5,
        "top_p": 0.9,
        "frequency_penalty": 1,
        "presence_penalty": -1,
        "stop": ["x"],
        "seed": 7,
        "reasoning_effort": "low",
        "extra_body": {"service_tier": "flex", "store": True},
    },
    tools=(WEATHER,),
    pseudonyms=Pseudonyms(tenant="t", user="a" * 32, chat="c"),
)


def openai(**settings: Any) -> Any:
    return chat_upstream(**{"flavour": Flavour.OPENAI, "key": KEY, **settings})


async def told(chat: ChatUpstream, request: ProviderRequest) -> list[ProviderEvent]:
    with anyio.fail_after(5):
        return joined(await collected(chat.provider, request))


@pytest.mark.parametrize("role", SystemRole)
async def test_whatever_we_send_the_public_api_takes_it(role: SystemRole) -> None:
    async with openai(system_role=role) as chat:
        chat.upstream.answer_with(ChatServer("Hello", " there", reasoning_tokens=5))
        events = await told(chat, EVERYTHING)
    assert events == [
        Accepted(200),
        TextDelta("Hello there"),
        Completed(
            finish=Finish.STOP,
            usage=Usage(
                input_tokens=PROMPT_TOKENS, output_tokens=7, cache_read_tokens=CACHED_TOKENS, reasoning_tokens=5
            ),
            remote_id="chatcmpl-test1",
            remote_model=f"{MODEL}-2026-01-01",
        ),
    ]


async def test_its_calls_of_functions_come_whole() -> None:
    async with openai() as chat:
        chat.upstream.answer_with(ChatServer(calls=[Called("get_weather", ['{"city":', '"Paris"}'])]))
        events = await told(chat, EVERYTHING)
    _, start, done, call, terminal = events
    assert isinstance(start, ToolStart)
    assert isinstance(done, ToolDone)
    assert call == FunctionCall(key="call_0", name="get_weather", arguments='{"city":"Paris"}')
    assert isinstance(terminal, Completed)
    assert terminal.finish is Finish.STOP


async def test_an_answer_is_cut_where_we_say() -> None:
    async with openai() as chat:
        chat.upstream.answer_with(ChatServer("a", "b", "c"))
        events = await told(chat, request_for(MODEL, max_output_tokens=2))
    assert said(events) == "ab"
    assert isinstance(events[-1], Completed)
    assert events[-1].finish is Finish.LENGTH


@pytest.mark.parametrize(
    ("settings", "asked", "kind"),
    [
        ({"key": "sk-other"}, request_for(MODEL), FailureKind.AUTH),
        ({}, request_for("other"), FailureKind.REJECTED),
        ({"chat_path": "/v2/chat"}, request_for(MODEL), FailureKind.REJECTED),
        ({"flavour": Flavour.GENERIC}, request_for(MODEL), FailureKind.REJECTED),  # its word for the limit is older
        ({}, request_for(MODEL, params={"temperature": 3}), FailureKind.REJECTED),
        ({}, request_for(MODEL, items=(UserText("x " * WINDOW_TOKENS),)), FailureKind.CONTEXT_LENGTH),
    ],
    ids=["key", "model", "address", "member", "range", "window"],
)
async def test_each_refusal_has_its_kind(settings: dict[str, Any], asked: ProviderRequest, kind: FailureKind) -> None:
    async with openai(**settings) as chat:
        chat.upstream.answer_with(ChatServer("never said"))
        assert failure(await told(chat, asked)).kind is kind


async def test_throttling_and_breaking_have_their_kinds_and_hints() -> None:
    async with openai() as chat:
        chat.upstream.reply(throttled(retry_after="7"), error(500, "Something is broken."))
        first, second = [failure(await told(chat, request_for(MODEL))) for _ in range(2)]
        chat.upstream.answer_with(ChatServer("Hel", breaks_with={"message": "It broke.", "type": "server_error"}))
        events = await told(chat, request_for(MODEL))
    assert (first.kind, first.retry_after_ms) == (FailureKind.RATE_LIMITED, 7_000)
    assert (second.kind, second.retry_after_ms) == (FailureKind.SERVER_ERROR, None)
    assert (said(events), failure(events).kind) == ("Hel", FailureKind.SERVER_ERROR)


async def test_a_prompt_that_azure_filters_is_no_failure() -> None:
    inner = {"code": "ResponsibleAIPolicyViolation", "content_filter_result": {"hate": {"filtered": True}}}
    members = {"message": "Filtered.", "type": None, "param": "prompt", "code": "content_filter", "status": 400}
    async with chat_upstream(flavour=Flavour.AZURE, key=KEY, api_version="preview") as chat:
        chat.upstream.reply(refusal(400, {"error": {**members, "innererror": inner}}))
        events = await told(chat, request_for(MODEL))
        (exchange,) = chat.upstream.exchanges
    assert events == [Accepted(400), Completed(finish=Finish.CONTENT_FILTER)]
    assert exchange.target == "/openai/v1/chat/completions?api-version=preview"
    assert exchange.headers["api-key"] == KEY


async def test_a_call_may_take_longer_to_write_than_a_tool_may_run() -> None:
    def piece(**function: str) -> bytes:
        return frame({"choices": [{"delta": {"tool_calls": [{"index": 0, "id": "c", "function": function}]}}]})

    deadlines = Deadlines(idle=timedelta(milliseconds=400), tool_idle=timedelta(milliseconds=80))
    steps = [step for _ in range(4) for step in (0.05, piece(arguments="1"))]
    async with chat_upstream() as chat:
        chat.upstream.reply(sse(piece(name="get_weather"), *steps, finish("tool_calls"), DONE))
        events = await told(chat, request_for(MODEL, tools=(WEATHER,), deadlines=deadlines))
    assert FunctionCall(key="call_0", name="get_weather", arguments="1111") in events


async def test_a_count_that_comes_late_is_waited_for() -> None:
    counted = frame({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 1}})
    early = frame({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 0}})
    spoken = frame({"choices": [{"delta": {"content": "a"}}]})
    async with chat_upstream() as chat:
        chat.upstream.reply(sse(early, spoken, finish(), 0.2, counted, DONE))
        events = await told(chat, request_for(MODEL))
    assert isinstance(events[-1], Completed)
    assert events[-1].usage == Usage(input_tokens=5, output_tokens=1)

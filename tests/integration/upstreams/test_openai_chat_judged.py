"""The fake chat completions API is taken for the real one by the official client, before our adapter meets it."""

import time
from collections.abc import AsyncIterator
from typing import Any, Final

import msgspec
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk, ChatCompletionFunctionToolParam

from tests.harness.upstream import Upstream
from tests.upstreams.openai_chat import KEY, MODEL, PROMPT_TOKENS, WINDOW_TOKENS, Called, ChatServer, error, throttled

WEATHER: Final[ChatCompletionFunctionToolParam] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        "strict": True,
    },
}
ASKED: Final[dict[str, Any]] = {"model": MODEL, "messages": [{"role": "user", "content": "Hi"}]}
CALLS: Final = [Called("get_weather", ['{"city":', '"Paris"}']), Called("get_weather", ['{"city":"Rome"}'])]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        upstream.answer_with(ChatServer("Hello", " there", "!", reasoning_tokens=5))
        yield upstream


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def is_documented(answer: ChatCompletion | ChatCompletionChunk) -> bool:
    """The types of the official client hold strictly, and no member is unknown to them."""
    again = type(answer).model_validate_json(answer.model_dump_json(exclude_unset=True), strict=True)
    return again == answer and not answer.model_extra and not any(choice.model_extra for choice in answer.choices)


async def hear(client: openai.AsyncOpenAI, heard: list[str | None]) -> None:
    async for chunk in await client.chat.completions.create(**ASKED, stream=True):
        heard.append(chunk.choices[0].delta.content)  # noqa: PERF401  what came before the fault counts


async def test_an_answer_in_one_piece(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(**ASKED)
    assert is_documented(answer)
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("Hello there!", "stop")
    assert answer.usage
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (PROMPT_TOKENS, 8)


async def test_an_answer_in_chunks_with_its_count_last(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(**ASKED, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert all(map(is_documented, chunks))
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == "Hello there!"
    assert [choice.finish_reason for choice in choices if choice.finish_reason] == ["stop"]
    assert [chunk.usage is not None for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].choices == []


async def test_nobody_counts_unasked(client: openai.AsyncOpenAI) -> None:
    stream = await client.chat.completions.create(**ASKED, stream=True)
    assert [chunk.usage async for chunk in stream] == [None] * 5


async def test_an_answer_stops_at_the_limit(client: openai.AsyncOpenAI) -> None:
    (choice,) = (await client.chat.completions.create(**ASKED, max_completion_tokens=2)).choices
    assert (choice.message.content, choice.finish_reason) == ("Hello there", "length")


async def test_calls_of_functions_are_put_together_by_the_official_client(
    upstream: Upstream, client: openai.AsyncOpenAI
) -> None:
    upstream.answer_with(ChatServer(calls=CALLS))
    whole = await client.chat.completions.create(**ASKED, tools=[WEATHER])
    async with client.chat.completions.stream(**ASKED, tools=[WEATHER]) as stream:
        streamed = await stream.get_final_completion()
    for answer in (whole, streamed):
        (choice,) = answer.choices
        assert choice.finish_reason == "tool_calls"
        assert [
            (call.id, call.function.name, call.function.arguments)
            for call in choice.message.tool_calls or ()
            if call.type == "function"
        ] == [
            ("call_test0", "get_weather", '{"city":"Paris"}'),
            ("call_test1", "get_weather", '{"city":"Rome"}'),
        ]
    assert is_documented(whole)


async def test_a_function_is_called_only_by_whoever_offers_it(upstream: Upstream, client: openai.AsyncOpenAI) -> None:
    upstream.answer_with(ChatServer("No.", calls=CALLS))
    (choice,) = (await client.chat.completions.create(**ASKED)).choices
    assert (choice.message.tool_calls, choice.finish_reason) == (None, "stop")


@pytest.mark.parametrize(
    ("change", "refusal", "code", "param"),
    [
        ({"model": "other"}, openai.NotFoundError, "model_not_found", None),
        ({"messages": []}, openai.BadRequestError, None, "messages"),
        ({"messages": [{"role": "nobody", "content": "x"}]}, openai.BadRequestError, None, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, openai.BadRequestError, None, "messages[0].content"),
        (
            {"messages": [{"role": "user", "content": "x " * (WINDOW_TOKENS + 1)}]},
            openai.BadRequestError,
            "context_length_exceeded",
            "messages",
        ),
        ({"temperature": 2.1}, openai.BadRequestError, None, "temperature"),
        ({"max_completion_tokens": 0}, openai.BadRequestError, None, "max_completion_tokens"),
        ({"max_tokens": 5}, openai.BadRequestError, None, None),
        ({"stop": ["a"] * 5}, openai.BadRequestError, None, "stop"),
        ({"tools": []}, openai.BadRequestError, None, "tools"),
        ({"tools": [{"type": "web_search"}]}, openai.BadRequestError, None, "tools[0].type"),
        (
            {"tools": [{"type": "function", "function": {"name": "../x"}}]},
            openai.BadRequestError,
            None,
            "tools[0].function.name",
        ),
        ({"safety_identifier": "x" * 65}, openai.BadRequestError, None, "safety_identifier"),
        ({"extra_body": {"top_k": 5}}, openai.BadRequestError, None, None),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_the_public_api_refuses_is_refused(
    client: openai.AsyncOpenAI,
    change: dict[str, Any],
    refusal: type[openai.APIStatusError],
    code: str | None,
    param: str | None,
    stream: bool,
) -> None:
    with pytest.raises(refusal) as refused:
        await client.chat.completions.create(**{**ASKED, **change, "stream": stream})
    assert (refused.value.type, refused.value.code, refused.value.param) == ("invalid_request_error", code, param)


async def test_options_of_a_stream_belong_to_streams(client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.chat.completions.create(**ASKED, stream_options={"include_usage": True})
    assert refused.value.param == "stream_options"


async def test_a_wrong_key_and_a_wrong_address_are_told_apart(upstream: Upstream, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        await client.with_options(api_key="sk-other").chat.completions.create(**ASKED)
    assert refused.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError):
        await client.with_options(base_url=f"{upstream.url}/v2").chat.completions.create(**ASKED)


async def test_a_throttled_client_comes_back_when_it_was_told(upstream: Upstream, client: openai.AsyncOpenAI) -> None:
    upstream.reply(throttled(retry_after="7"))
    with pytest.raises(openai.RateLimitError) as refused:
        await client.chat.completions.create(**ASKED)
    assert (refused.value.code, refused.value.response.headers["retry-after"]) == ("rate_limit_exceeded", "7")
    answer = ChatServer("Hello")
    refusals = [throttled(retry_after_ms="80")]
    upstream.answer_with(lambda exchange: refusals.pop() if refusals else answer(exchange))
    started = time.monotonic()
    assert (await client.with_options(max_retries=1).chat.completions.create(**ASKED)).choices
    assert 0.08 <= time.monotonic() - started < 1


async def test_a_broken_server_and_a_broken_stream_are_errors(upstream: Upstream, client: openai.AsyncOpenAI) -> None:
    upstream.reply(error(500, "Something is broken."))
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(**ASKED)
    upstream.answer_with(ChatServer("Hel", breaks_with={"message": "It broke.", "type": "server_error", "code": None}))
    heard: list[str | None] = []
    with pytest.raises(openai.APIError, match="It broke") as broken:
        await hear(client, heard)
    assert (heard, broken.value.type) == (["", "Hel"], "server_error")


async def test_a_body_that_is_no_json_is_refused(upstream: Upstream, client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await client.post("/chat/completions", cast_to=object, content=b"{oops")
    assert refused.value.type == "invalid_request_error"
    assert msgspec.json.decode(refused.value.response.content)["error"]["param"] is None

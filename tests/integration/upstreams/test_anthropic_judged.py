"""The fake Messages API is accepted by the official client before our adapter meets it."""

from collections.abc import AsyncIterator
from typing import Any

import anthropic
import pytest
from anthropic import AsyncAnthropic
from anthropic.types import (
    CitationsWebSearchResultLocation,
    Message,
    ServerToolUseBlock,
    TextBlock,
    ThinkingBlock,
    ToolUseBlock,
    WebSearchToolResultBlock,
    WebSearchToolResultError,
)

from tests.harness.upstream import Reply, Upstream
from tests.upstreams.anthropic import (
    KEY,
    MessagesApi,
    begin,
    call,
    cited,
    failed,
    found,
    message,
    not_found,
    opened,
    refusal,
    said,
    search,
    text,
    thinking,
)

ASKED: dict[str, Any] = {
    "model": "claude-test",
    "max_tokens": 2_000,
    "messages": [{"role": "user", "content": "When is high water?"}],
}
WEB_SEARCH: Any = {"type": "web_search_20250305", "name": "web_search", "max_uses": 2}
WEATHER: Any = {"name": "weather", "description": "Of a place.", "input_schema": {"type": "object"}}
ANSWER = MessagesApi(
    thinking("Let me look."),
    search("srvtoolu_1", "high water"),
    found("srvtoolu_1", "https://example.org/tides"),
    text("High water is at "),
    text("14:05", cited("https://example.org/tides", "Tides", "High water 14:05")),
    call("toolu_1", "weather", {"place": "Kiel", "days": [1, 2]}),
    stop_reason="tool_use",
    input_tokens=10,
    cache_creation_input_tokens=100,
    cache_read_input_tokens=1_000,
    output_tokens=70,
    output_tokens_details={"thinking_tokens": 5},
    server_tool_use={"web_search_requests": 1, "web_fetch_requests": 0},
)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        upstream.answer_with(ANSWER)
        yield upstream


@pytest.fixture
async def client(upstream: Upstream) -> AsyncIterator[AsyncAnthropic]:
    async with AsyncAnthropic(api_key=KEY, base_url=upstream.url, max_retries=0) as client:
        yield client


def check(answer: Message) -> None:
    thought, looked, results, plain, sourced, called = answer.content
    assert isinstance(thought, ThinkingBlock)
    assert thought.thinking == "Let me look."
    assert isinstance(looked, ServerToolUseBlock)
    assert (looked.name, looked.input) == ("web_search", {"query": "high water"})
    assert isinstance(results, WebSearchToolResultBlock)
    assert isinstance(results.content, list)
    assert [result.url for result in results.content] == ["https://example.org/tides"]
    assert isinstance(plain, TextBlock)
    assert isinstance(sourced, TextBlock)
    assert plain.text + sourced.text == "High water is at 14:05"
    assert sourced.citations is not None
    (source,) = sourced.citations
    assert isinstance(source, CitationsWebSearchResultLocation)
    assert (source.url, source.title, source.cited_text) == ("https://example.org/tides", "Tides", "High water 14:05")
    assert isinstance(called, ToolUseBlock)
    assert (called.name, called.input) == ("weather", {"place": "Kiel", "days": [1, 2]})
    assert (answer.stop_reason, answer.usage.output_tokens) == ("tool_use", 70)
    assert (answer.usage.input_tokens, answer.usage.cache_read_input_tokens) == (10, 1_000)
    assert answer.usage.output_tokens_details is not None
    assert answer.usage.output_tokens_details.thinking_tokens == 5


async def test_an_answer_in_one_piece_is_understood(client: AsyncAnthropic) -> None:
    check(await client.messages.create(**ASKED, tools=[WEB_SEARCH, WEATHER]))


async def test_a_streamed_answer_is_understood_as_the_same(client: AsyncAnthropic) -> None:
    async with client.messages.stream(**ASKED, tools=[WEB_SEARCH, WEATHER]) as stream:
        said = [piece async for piece in stream.text_stream]
        check(await stream.get_final_message())
    assert "".join(said) == "High water is at 14:05"


async def test_the_raw_events_come_in_the_order_of_the_api(client: AsyncAnthropic) -> None:
    events = [event.type async for event in await client.messages.create(**ASKED, stream=True)]
    assert events[0] == "message_start"
    assert events[-2:] == ["message_delta", "message_stop"]
    assert events.count("content_block_start") == events.count("content_block_stop") == 6


async def test_a_search_that_was_refused_is_understood(upstream: Upstream, client: AsyncAnthropic) -> None:
    upstream.answer_with(
        MessagesApi(search("srvtoolu_1", "q"), not_found("srvtoolu_1", "max_uses_exceeded"), text("a"))
    )
    async with client.messages.stream(**ASKED, tools=[WEB_SEARCH]) as stream:
        answer = await stream.get_final_message()
    result = answer.content[1]
    assert isinstance(result, WebSearchToolResultBlock)
    assert isinstance(result.content, WebSearchToolResultError)
    assert result.content.error_code == "max_uses_exceeded"


@pytest.mark.parametrize(
    ("status", "refused"),
    [
        (400, anthropic.BadRequestError),
        (401, anthropic.AuthenticationError),
        (403, anthropic.PermissionDeniedError),
        (404, anthropic.NotFoundError),
        (413, anthropic.APIStatusError),
        (429, anthropic.RateLimitError),
        (500, anthropic.InternalServerError),
        (529, anthropic.InternalServerError),
    ],
)
@pytest.mark.parametrize("streamed", [True, False])
async def test_refusals_are_understood(
    upstream: Upstream, client: AsyncAnthropic, status: int, refused: type[anthropic.APIStatusError], streamed: bool
) -> None:
    upstream.reply(refusal(status, "Not today.", {"retry-after": "3"}))
    with pytest.raises(refused) as raised:
        await client.messages.create(**ASKED, stream=streamed)
    assert raised.value.status_code == status
    assert isinstance(raised.value.body, dict)
    assert raised.value.body["error"]["message"] == "Not today."
    assert raised.value.request_id is not None


async def test_an_error_within_the_stream_is_understood(upstream: Upstream, client: AsyncAnthropic) -> None:
    steps = [begin(message()), opened(text("")), said("a"), failed("overloaded_error")]
    upstream.reply(Reply(steps=steps))
    pieces: list[str] = []

    async def read() -> None:
        async with client.messages.stream(**ASKED) as stream:
            async for piece in stream.text_stream:
                pieces.append(piece)  # noqa: PERF401 - what came before the error counts

    with pytest.raises(anthropic.APIStatusError, match="overloaded_error"):
        await read()
    assert pieces == ["a"]


@pytest.mark.parametrize(
    ("change", "refused"),
    [
        ({"model": "claude-unknown"}, anthropic.NotFoundError),
        ({"max_tokens": 0}, anthropic.BadRequestError),
        ({"messages": []}, anthropic.BadRequestError),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, anthropic.BadRequestError),
        ({"messages": [{"role": "system", "content": "Hi"}]}, anthropic.BadRequestError),
        ({"messages": [{"role": "user", "content": " "}]}, anthropic.BadRequestError),
        ({"system": [{"type": "text", "text": ""}]}, anthropic.BadRequestError),
        ({"extra_body": {"temperature": 0.5, "top_p": 0.5}}, anthropic.BadRequestError),
        ({"thinking": {"type": "enabled", "budget_tokens": 1_023}}, anthropic.BadRequestError),
        ({"thinking": {"type": "enabled", "budget_tokens": 2_000}}, anthropic.BadRequestError),
        ({"extra_body": {"thinking": {"type": "adaptive"}, "temperature": 0.5}}, anthropic.BadRequestError),
        ({"output_config": {"effort": "some"}}, anthropic.BadRequestError),
        ({"tools": [WEB_SEARCH, WEB_SEARCH]}, anthropic.BadRequestError),
        ({"tools": [{**WEATHER, "name": "no spaces"}]}, anthropic.BadRequestError),
        ({"tools": [{**WEATHER, "input_schema": {}}]}, anthropic.BadRequestError),
        ({"stop_sequences": [" "]}, anthropic.BadRequestError),
        ({"extra_body": {"seed": 7}}, anthropic.BadRequestError),
        ({"extra_headers": {"Authorization": "Bearer another"}}, anthropic.AuthenticationError),
        ({"extra_headers": {"anthropic-version": "2020-01-01"}}, anthropic.BadRequestError),
    ],
)
async def test_what_the_api_would_refuse_is_refused(
    client: AsyncAnthropic, change: dict[str, Any], refused: type[anthropic.APIStatusError]
) -> None:
    with pytest.raises(refused):
        await client.messages.create(**{**ASKED, **change})

"""The fake server of the Responses format, judged by the official client, which nobody here wrote."""

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.harness.upstream import Reply, Upstream, refusal
from tests.upstreams.openai_responses import (
    KEY,
    MODEL,
    Answering,
    Members,
    ResponsesServer,
    file_citation,
    url_citation,
)

_EVENTS: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
_TOOLS: list[Any] = [
    {"type": "web_search", "search_context_size": "low"},
    {"type": "file_search", "vector_store_ids": ["vs_1"], "max_num_results": 3},
    {"type": "code_interpreter", "container": {"type": "auto", "file_ids": []}},
    {"type": "function", "name": "weather", "parameters": {"type": "object"}, "strict": False},
]


def everything(answering: Answering, _: Members) -> list[bytes]:
    return [
        *answering.think("Let me ", "look."),
        *answering.search_web("tides"),
        *answering.search_files("tides", [{"file_id": "file-1", "filename": "a.pdf", "score": 0.9, "text": "High."}]),
        *answering.interpret("print(1)", "1"),
        *answering.call("weather", '{"place":', '"Kiel"}'),
        *answering.say(
            "High ",
            "tide.",
            annotations=[url_citation("https://example.org/t", "Tides", 0, 4), file_citation("file-1", 5)],
        ),
    ]


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        upstream.answer_with(ResponsesServer())
        yield upstream


def client(upstream: Upstream, key: str = KEY) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{upstream.url}/v1", api_key=key, max_retries=0)


async def test_a_streamed_answer_is_understood_event_by_event(upstream: Upstream) -> None:
    upstream.answer_with(ResponsesServer(everything))
    async with client(upstream) as judge:
        stream = await judge.responses.create(model=MODEL, input="Tides?", tools=_TOOLS, stream=True)
        events = [event async for event in stream]
    for event in events:
        _EVENTS.validate_python(event.model_dump(warnings="error", by_alias=True, exclude_unset=True), strict=False)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    said = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert said == "High tide."
    last = events[-1]
    assert last.type == "response.completed"
    assert last.response.output_text == said
    assert [item.type for item in last.response.output] == [
        "reasoning",
        "web_search_call",
        "file_search_call",
        "code_interpreter_call",
        "function_call",
        "message",
    ]
    assert last.response.usage is not None
    assert last.response.usage.total_tokens == 7


async def test_a_whole_answer_is_understood(upstream: Upstream) -> None:
    upstream.answer_with(ResponsesServer(everything))
    async with client(upstream) as judge:
        answer = await judge.responses.create(model=MODEL, input=[{"role": "user", "content": "Tides?"}], tools=_TOOLS)
    Response.model_validate(answer.model_dump(warnings="error", by_alias=True))
    assert (answer.status, answer.output_text) == ("completed", "High tide.")


@pytest.mark.parametrize(
    ("ending", "status"), [("incomplete", "incomplete"), ("failed", "failed"), ("refused", "completed")]
)
async def test_other_endings_are_understood(upstream: Upstream, ending: str, status: str) -> None:
    answering = Answering()
    steps = [answering.begin(), *(answering.refuse("No.") if ending == "refused" else answering.say("High "))]
    if ending == "incomplete":
        steps.append(answering.incomplete("max_output_tokens"))
    else:
        steps.append(answering.fail("server_error") if ending == "failed" else answering.complete())
    upstream.reply(Reply(steps=steps))
    async with client(upstream) as judge:
        events = [event async for event in await judge.responses.create(model=MODEL, input="Tides?", stream=True)]
    for event in events:
        _EVENTS.validate_python(event.model_dump(warnings="error", by_alias=True, exclude_unset=True))
    last = events[-1]
    assert last.type in {"response.incomplete", "response.failed", "response.completed"}
    assert getattr(last, "response").status == status  # noqa: B009  the union has members without it


async def test_an_error_in_the_stream_is_an_event(upstream: Upstream) -> None:
    answering = Answering()
    steps = [answering.begin(), *answering.say("High "), answering.error("rate_limit_exceeded")]
    upstream.reply(Reply(steps=steps))
    async with client(upstream) as judge:
        events = [event async for event in await judge.responses.create(model=MODEL, input="Tides?", stream=True)]
    last = _EVENTS.validate_python(events[-1].model_dump(warnings="error"))
    assert last.type == "error"
    assert last.code == "rate_limit_exceeded"


async def test_a_nested_error_in_the_stream_is_an_exception(upstream: Upstream) -> None:
    answering = Answering()
    steps = [answering.begin(), *answering.say("High "), answering.nested_error("server_error")]
    upstream.reply(Reply(steps=steps))
    async with client(upstream) as judge:
        stream = await judge.responses.create(model=MODEL, input="Tides?", stream=True)
        with pytest.raises(openai.APIError) as fault:
            _ = [event async for event in stream]
    assert fault.value.code == "server_error"


@pytest.mark.parametrize(
    ("changes", "fault", "param"),
    [
        ({"model": "unknown"}, openai.NotFoundError, "model"),
        ({"max_output_tokens": 15}, openai.BadRequestError, "max_output_tokens"),
        ({"temperature": 3}, openai.BadRequestError, "temperature"),
        ({"input": []}, openai.BadRequestError, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, openai.BadRequestError, "input[0]"),
        ({"input": [{"role": "user", "content": [{"type": "output_text"}]}]}, openai.BadRequestError, "input[0]"),
        ({"tools": [{"type": "file_search"}]}, openai.BadRequestError, "tools[0]"),
        ({"tools": [{"type": "teleport"}]}, openai.BadRequestError, "tools[0]"),
        ({"include": ["everything"]}, openai.BadRequestError, "include"),
        ({"metadata": {"a": 1}}, openai.BadRequestError, "metadata"),
        ({"safety_identifier": "x" * 65}, openai.BadRequestError, "safety_identifier"),
        ({"extra_body": {"n": 2}}, openai.BadRequestError, "n"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_a_wrong_request_is_refused_as_the_client_expects(
    upstream: Upstream, changes: dict[str, Any], fault: type[openai.APIStatusError], param: str, stream: bool
) -> None:
    async with client(upstream) as judge:
        with pytest.raises(fault) as refused:
            await judge.responses.create(**{"model": MODEL, "input": "Tides?", "stream": stream, **changes})
    assert refused.value.param == param
    assert refused.value.type == "invalid_request_error"


async def test_a_wrong_key_is_refused(upstream: Upstream) -> None:
    async with client(upstream, "sk-other") as judge:
        with pytest.raises(openai.AuthenticationError) as refused:
            await judge.responses.create(model=MODEL, input="Tides?")
    assert refused.value.code == "invalid_api_key"


@pytest.mark.parametrize(
    ("status", "fault"), [(429, openai.RateLimitError), (500, openai.InternalServerError), (403, openai.APIStatusError)]
)
async def test_other_refusals_have_the_shape_of_the_api(
    upstream: Upstream, status: int, fault: type[openai.APIStatusError]
) -> None:
    upstream.reply(refusal(status, {"error": {"message": "No.", "type": "t", "param": None, "code": "c"}}))
    async with client(upstream) as judge:
        with pytest.raises(fault) as refused:
            await judge.responses.create(model=MODEL, input="Tides?", stream=True)
    assert (refused.value.status_code, refused.value.code) == (status, "c")


async def test_azures_client_is_served_as_well(upstream: Upstream) -> None:
    upstream.answer_with(ResponsesServer(keys={"api-key": KEY}))
    async with openai.AsyncAzureOpenAI(
        base_url=f"{upstream.url}/openai/v1", api_key=KEY, api_version="preview", max_retries=0
    ) as judge:
        answer = await judge.responses.create(model=MODEL, input="Tides?")
    assert answer.output_text == "Hello there"
    assert upstream.exchanges[0].target == "/openai/v1/responses?api-version=preview"

"""A function that a model calls looks the same to the engine and to readers, whatever format the call came in."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
import pytest

from domain.clock import SystemClock
from domain.providers.events import (
    Accepted,
    Completed,
    Failed,
    Finish,
    FunctionCall,
    ProviderEvent,
    ToolDone,
    ToolStart,
    UsageReport,
)
from domain.providers.ports import Provider
from domain.providers.request import Function
from infra.providers.adapters.scripted.adapter import ScriptedProvider
from infra.providers.settings import ProviderKind
from tests.harness.chat_upstream import chat_upstream
from tests.harness.provider_calls import collected, request_for
from tests.harness.upstream import DONE, finish, frame, sse
from tests.upstreams import anthropic
from tests.upstreams.openai_responses import Answering

WEATHER: Final = Function(
    name="get_weather",
    description="The weather in a city.",
    schema={"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
)
ARGUMENTS: Final = '{"city":"Paris"}'
CUT: Final = '{"city":"Pa'


def _chat(arguments: str = ARGUMENTS, reason: str = "tool_calls") -> list[bytes]:
    call = {"index": 0, "id": "call_remote1", "function": {"name": WEATHER.name, "arguments": arguments}}
    return [frame({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}), finish(reason), DONE]


def _responses(arguments: str = ARGUMENTS, *, is_cut: bool = False) -> list[bytes]:
    answer = Answering()
    called = [answer.begin(), *answer.call(WEATHER.name, arguments)]
    return [*called, answer.incomplete("max_output_tokens") if is_cut else answer.complete()]


def _messages(reason: str = "tool_use") -> list[bytes]:
    call = anthropic.call("toolu_remote1", WEATHER.name, {"city": "Paris"})
    return list(anthropic.frames(anthropic.message(call, stop_reason=reason)))


STREAMS: Final[dict[ProviderKind, list[bytes]]] = {
    ProviderKind.OPENAI_CHAT: _chat(),
    ProviderKind.OPENAI_RESPONSES: _responses(),
    ProviderKind.ANTHROPIC: _messages(),
}
"""Of whoever carries functions beside `scripted`."""
CUT_ANSWERS: Final[dict[ProviderKind, list[bytes]]] = {
    ProviderKind.OPENAI_CHAT: _chat(CUT, "length"),
    ProviderKind.OPENAI_RESPONSES: _responses(CUT, is_cut=True),
    ProviderKind.ANTHROPIC: _messages("max_tokens"),
}


@pytest.fixture(params=[ProviderKind.SCRIPTED, *STREAMS])
async def provider(request: pytest.FixtureRequest) -> AsyncIterator[Provider]:
    kind: ProviderKind = request.param
    if kind is ProviderKind.SCRIPTED:
        yield ScriptedProvider(SystemClock(), seed=1)
        return
    async with chat_upstream(kind=kind) as chat:
        chat.upstream.reply(sse(*STREAMS[kind]))
        yield chat.provider


async def told(provider: Provider, *functions: Function) -> list[ProviderEvent]:
    return await collected(provider, request_for("mock-len1-tool1", tools=functions))


async def test_a_call_begins_is_done_and_is_handed_on_in_this_order(provider: Provider) -> None:
    events = await told(provider, WEATHER)
    start, done, call = [event for event in events if isinstance(event, (ToolStart, ToolDone, FunctionCall))]
    assert isinstance(start, ToolStart)
    assert isinstance(done, ToolDone)
    assert isinstance(call, FunctionCall)
    assert start.key == done.key == call.key
    shown = start.details["call_id"]
    assert "remote" not in str(shown)
    assert start.details == {"index": 0, "call_id": shown, "name": WEATHER.name}
    assert done.details == {"call_id": shown, "name": WEATHER.name, "arguments": call.arguments}
    assert set(msgspec.json.decode(call.arguments)) == {"city"}
    assert isinstance(events[-1], Completed)
    assert events[-1].finish is Finish.STOP


async def test_a_function_that_was_not_offered_is_not_called(provider: Provider) -> None:
    events = await told(provider, Function(name="get_time", description="", schema={"type": "object"}))
    named = [event.details.get("name") for event in events if isinstance(event, (ToolStart, ToolDone))]
    assert WEATHER.name not in named
    assert [event.name for event in events if isinstance(event, FunctionCall)] in ([], ["get_time"])


@pytest.mark.parametrize("kind", STREAMS)
async def test_where_a_stream_breaks_off_no_call_stays_open_and_none_is_made_in_part(
    kind: ProviderKind,
) -> None:
    stream = STREAMS[kind]
    async with chat_upstream(kind=kind) as chat:
        for frames in range(len(stream) - 1):
            chat.upstream.reply(sse(*stream[:frames]))
            *before, terminal = await told(chat.provider, WEATHER)
            starts = [event.key for event in before if isinstance(event, ToolStart)]
            assert starts == [event.key for event in before if isinstance(event, ToolDone)]
            assert {event.arguments for event in before if isinstance(event, FunctionCall)} <= {ARGUMENTS}
            assert isinstance(terminal, (Completed, Failed))


@pytest.mark.parametrize("kind", CUT_ANSWERS)
async def test_of_an_answer_that_reached_its_limit_no_call_is_made(kind: ProviderKind) -> None:
    async with chat_upstream(kind=kind) as chat:
        chat.upstream.reply(sse(*CUT_ANSWERS[kind]))
        *before, terminal = await told(chat.provider, WEATHER)
    told_of_tools = [type(event) for event in before if not isinstance(event, (Accepted, UsageReport))]
    assert told_of_tools == [ToolStart, ToolDone]
    assert isinstance(terminal, Completed)
    assert terminal.finish is Finish.LENGTH

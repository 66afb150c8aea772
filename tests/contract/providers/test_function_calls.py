"""A function that a model calls looks the same to the engine and to readers, whatever format the call came in."""

from collections.abc import AsyncIterator
from typing import Final

import msgspec
import pytest

from domain.clock import SystemClock
from domain.providers.events import Completed, Failed, Finish, FunctionCall, ProviderEvent, ToolDone, ToolStart
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


def _chat() -> list[bytes]:
    call = {"index": 0, "id": "call_remote1", "function": {"name": WEATHER.name, "arguments": ARGUMENTS}}
    return [frame({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]}), finish("tool_calls"), DONE]


def _responses() -> list[bytes]:
    answer = Answering()
    return [answer.begin(), *answer.call(WEATHER.name, ARGUMENTS), answer.complete()]


def _messages() -> list[bytes]:
    call = anthropic.call("toolu_remote1", WEATHER.name, {"city": "Paris"})
    return list(anthropic.frames(anthropic.message(call, stop_reason="tool_use")))


STREAMS: Final[dict[ProviderKind, list[bytes]]] = {
    ProviderKind.OPENAI_CHAT: _chat(),
    ProviderKind.OPENAI_RESPONSES: _responses(),
    ProviderKind.ANTHROPIC: _messages(),
}
"""Of whoever carries functions beside `scripted`."""


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

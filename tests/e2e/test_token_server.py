"""Turns over a self-hosted server that streams tokens, from socket to socket."""

from collections.abc import AsyncIterator, Iterator
from typing import Final

import msgspec
import pytest

from tests.harness.client import Client
from tests.harness.postgres import Database, PostgresServer
from tests.harness.service import Service, serving, settings
from tests.harness.upstream import Action, Exchange, Upstream
from tests.upstreams.inference_http import KEY, InferenceServer, answered, called, token

OWN: Final = {"id": "own", "provider_id": "own", "provider_model_id": "any", "max_output_tokens": 50_000}


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
async def own_service(
    module_database: Database, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    env = settings(module_database, {"echo": "mock-echo"}, None, OWN) | {
        "OWN_KEY": KEY,
        "MINI_CHAT_PROVIDERS__OWN__KIND": "inference_http",
        "MINI_CHAT_PROVIDERS__OWN__BASE_URL": upstream.url,
        "MINI_CHAT_PROVIDERS__OWN__AUTH__KEY": "env:OWN_KEY",
        "MINI_CHAT_PROVIDERS__OWN__ALLOW_HTTP": "true",
        "MINI_CHAT_PROVIDERS__OWN__ALLOW_PRIVATE_NETWORK": "true",
    }
    async with serving(tmp_path_factory.mktemp("own"), module_database, env) as service:
        yield service


@pytest.fixture
async def client(own_service: Service) -> AsyncIterator[Client]:
    async with own_service.caller() as client:
        yield client


def contents(exchange: Exchange) -> list[str]:
    """What the server was told, alternately by the user and by itself."""
    return [message["content"] for message in msgspec.json.decode(exchange.body)["messages"]]


async def test_an_answer_is_streamed_estimated_and_remembered(client: Client, upstream: Upstream) -> None:
    upstream.answer_with(InferenceServer(token("Hello "), 0.01, token("there")))
    chat_id = await client.chat(model="own")
    stream = await client.told(chat_id, "One")
    assert [frame.event for frame in stream.frames] == ["stream_started", "delta", "delta", "done"]
    assert stream.text == "Hello there"
    assert upstream.exchanges[-1].target == "/generate"
    assert stream.frames[-1].data["usage"]["output_tokens"] > 0
    await client.told(chat_id, "Two")
    assert contents(upstream.exchanges[-1]) == ["One", "Hello there", "Two"]


async def test_a_tool_is_told_and_its_markers_are_not(client: Client, upstream: Upstream) -> None:
    call = {"name": "sum", "arguments": [1, 2]}
    upstream.answer_with(InferenceServer(token("a"), called(call), answered("3"), token("b")))
    stream = await client.told(await client.chat(model="own"))
    tools = [frame.data for frame in stream.frames if frame.event == "tool"]
    assert tools == [
        {"phase": "start", "name": "function_call", "details": {"index": 0, "call_id": "call_0", "name": "sum"}},
        {
            "phase": "done",
            "name": "function_call",
            "details": {"call_id": "call_0", "name": "sum", "arguments": "[1,2]"},
        },
    ]
    assert stream.text == "ab"


@pytest.mark.parametrize(
    ("server", "code", "retryable"),
    [
        (InferenceServer(status=401), "provider_error", False),
        (InferenceServer(status=400), "provider_error", False),
        (InferenceServer(status=503), "provider_unavailable", True),
        (InferenceServer(token("a"), Action.CLOSE), "stream_interrupted", True),
    ],
)
async def test_a_refusal_ends_the_turn_under_its_own_code(
    client: Client, upstream: Upstream, server: InferenceServer, code: str, retryable: bool
) -> None:
    upstream.answer_with(server)
    stream = await client.told(await client.chat(model="own"))
    assert stream.terminal is not None
    assert (stream.terminal.data["code"], stream.terminal.data["retryable"]) == (code, retryable)


async def test_what_the_server_would_not_take_is_refused_before_it_is_asked(client: Client, upstream: Upstream) -> None:
    upstream.answer_with(InferenceServer())
    chat_id, question = await client.chat(model="own"), "x" * 7_000
    for _ in range(6):
        await client.told(chat_id, question)
    refused = await client.ask("POST", f"chats/{chat_id}/messages", {"content": "x" * 8_001})
    assert (refused.status, refused.json()["code"]) == (422, "context_budget_exceeded")
    # A summary of the long conversation may be made meanwhile.
    told = [contents(exchange) for exchange in upstream.exchanges if exchange.target == "/generate"]
    assert [len(each) for each in told if each[-1] == question] == [1, 3, 5, 7, 7, 7]
    assert max(len(content) for each in told for content in each) <= 8_000

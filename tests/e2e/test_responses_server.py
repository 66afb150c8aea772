"""Turns over a server of the Responses format, from socket to socket."""

from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Final

import msgspec
import pytest

from tests.harness.client import Client
from tests.harness.postgres import Database, PostgresServer
from tests.harness.service import Service, serving, settings
from tests.harness.upstream import Action, Reply, Step, Upstream, refusal
from tests.upstreams.openai_responses import (
    KEY,
    MODEL,
    Answering,
    Members,
    ResponsesServer,
    file_citation,
    url_citation,
)

CLOUD: Final = {
    "id": "cloud",
    "provider_id": "cloud",
    "provider_model_id": MODEL,
    "tool_support": {"web_search": True},
}


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
async def cloud_service(
    module_database: Database, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    env = settings(module_database, {"echo": "mock-echo"}, None, CLOUD) | {
        "CLOUD_KEY": KEY,
        "MINI_CHAT_PROVIDERS__CLOUD__KIND": "openai_responses",
        "MINI_CHAT_PROVIDERS__CLOUD__FLAVOUR": "azure",
        "MINI_CHAT_PROVIDERS__CLOUD__BASE_URL": upstream.url,
        "MINI_CHAT_PROVIDERS__CLOUD__AUTH__KEY": "env:CLOUD_KEY",
        "MINI_CHAT_PROVIDERS__CLOUD__ALLOW_HTTP": "true",
        "MINI_CHAT_PROVIDERS__CLOUD__ALLOW_PRIVATE_NETWORK": "true",
        "MINI_CHAT_PROVIDERS__CLOUD__BREAKER_FAILURES": "0",
    }
    async with serving(tmp_path_factory.mktemp("cloud"), module_database, env) as service:
        yield service


@pytest.fixture
async def client(cloud_service: Service) -> AsyncIterator[Client]:
    async with cloud_service.caller() as client:
        yield client


def searching(answering: Answering, _: Members) -> Sequence[Step]:
    cited = [
        url_citation("https://example.org/tides", "<b>Tides</b>", 0, 9),
        url_citation("http://192.168.0.1/admin", "Router", 0, 9),
        file_citation("file-of-somebody-else"),
    ]
    return [
        *answering.search_web("tides in Kiel"),
        0.01,
        *answering.say("High tide", " is at 14:05.", annotations=cited),
    ]


async def test_a_web_search_shows_as_tool_events_and_its_sources_as_citations(
    client: Client, upstream: Upstream
) -> None:
    upstream.answer_with(ResponsesServer(searching, keys={"api-key": KEY}))
    chat_id = await client.chat(model="cloud")
    stream = await client.told(chat_id, "When is high tide?", web_search={"enabled": True})
    assert [(frame.event, frame.data) for frame in stream.frames[1:-1]] == [
        ("tool", {"phase": "start", "name": "web_search", "details": {}}),
        ("tool", {"phase": "done", "name": "web_search", "details": {}}),
        ("delta", {"type": "text", "content": "High tide"}),
        ("delta", {"type": "text", "content": " is at 14:05."}),
        (
            "citations",
            {
                "items": [
                    {
                        "source": "web",
                        "title": "Tides",
                        "url": "https://example.org/tides",
                        "snippet": "High tide",
                        "span": {"start": 0, "end": 9},
                    }
                ]
            },
        ),
    ]
    assert stream.frames[-1].event == "done"
    assert stream.frames[-1].data["usage"] == {"input_tokens": 4, "output_tokens": 3}
    assert (await client.messages(chat_id))[-1]["citations"] == stream.frames[-2].data["items"]


async def test_the_request_is_one_the_public_api_takes_and_tells_no_ids_of_ours(
    client: Client, upstream: Upstream
) -> None:
    upstream.answer_with(ResponsesServer(keys={"api-key": KEY}))
    chat_id = await client.chat(model="cloud")
    await client.told(chat_id, "One")
    await client.told(chat_id, "Two")
    exchange = upstream.exchanges[-1]
    assert exchange.target == "/openai/v1/responses"
    assert "authorization" not in exchange.headers
    sent: dict[str, Any] = msgspec.json.decode(exchange.body)
    assert [(message["role"], message["content"][0]["text"]) for message in sent["input"]] == [
        ("user", "One"),
        ("assistant", "Hello there"),
        ("user", "Two"),
    ]
    assert sent["store"] is False
    assert chat_id.encode() not in exchange.body


async def test_the_whole_answer_in_the_last_event_alone_is_enough(client: Client, upstream: Upstream) -> None:
    answering = Answering()
    answering.say("Hello ", "there")
    upstream.reply(Reply(steps=[answering.complete()]))
    stream = await client.told(await client.chat(model="cloud"))
    assert stream.text == "Hello there"


@pytest.mark.parametrize(
    ("reply", "code", "retryable"),
    [
        (refusal(401, {"error": {"code": "invalid_api_key"}}), "provider_error", False),
        (refusal(400, {"error": {"code": "context_length_exceeded"}}), "context_budget_exceeded", False),
        (refusal(404, {"error": {"code": "model_not_found"}}), "provider_error", False),
        (refusal(429, {"error": {"code": "rate_limit_exceeded"}}, Retry_After="2"), "rate_limited", True),
        (refusal(500, {"error": {"code": "server_error"}}), "provider_error", True),
        (Reply(steps=[Answering().fail("server_error")]), "provider_error", True),
        (Reply(steps=[Answering().delta("a"), Answering().error("rate_limit_exceeded")]), "rate_limited", True),
        (Reply(steps=[Answering().delta("a"), Action.CLOSE]), "stream_interrupted", True),
    ],
)
async def test_a_fault_ends_the_turn_under_its_own_code(
    client: Client, upstream: Upstream, reply: Reply, code: str, retryable: bool
) -> None:
    upstream.reply(reply)
    stream = await client.told(await client.chat(model="cloud"))
    assert stream.terminal is not None
    assert (stream.terminal.data["code"], stream.terminal.data["retryable"]) == (code, retryable)

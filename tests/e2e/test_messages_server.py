"""Turns over the Messages API of Anthropic, from socket to socket."""

from collections.abc import AsyncIterator, Iterator
from typing import Any, Final

import msgspec
import pytest

from tests.harness.client import Client
from tests.harness.postgres import Database, PostgresServer
from tests.harness.service import Service, serving, settings
from tests.harness.upstream import Action, Reply, Upstream, sse
from tests.upstreams.anthropic import (
    KEY,
    MessagesApi,
    begin,
    cited,
    closed,
    ended,
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

TIDES: Final = "https://example.org/tides"
CLAUDE: Final = {
    "provider_id": "anthropic",
    "provider_model_id": "claude-test",
    "tool_support": {"web_search": True},
    "input_tokens_credit_multiplier_micro": 3_000_000,
    "output_tokens_credit_multiplier_micro": 15_000_000,
}
MODELS: Final = ({**CLAUDE, "id": "open", "exposes_reasoning": True}, {**CLAUDE, "id": "discreet"})
BEGUN: Final = [begin(message()), opened(text("")), said("a")]


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
async def claude_service(
    module_database: Database, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    env = settings(module_database, {"echo": "mock-echo"}, None, *MODELS) | {
        "ANTHROPIC_API_KEY": KEY,
        "ANTHROPIC_BASE_URL": upstream.url,
    }
    async with serving(tmp_path_factory.mktemp("claude"), module_database, env) as service:
        yield service


@pytest.fixture
async def client(claude_service: Service) -> AsyncIterator[Client]:
    async with claude_service.caller() as client:
        yield client


async def test_an_answer_is_streamed_remembered_and_charged_as_it_was_counted(
    client: Client, upstream: Upstream
) -> None:
    upstream.answer_with(
        MessagesApi(
            text("Hello there."),
            input_tokens=10,
            cache_creation_input_tokens=100,
            cache_read_input_tokens=1_000,
            output_tokens=7,
        )
    )
    chat_id = await client.chat(model="open")
    stream = await client.told(chat_id, "One")
    assert stream.text == "Hello there."
    assert stream.terminal is not None
    assert stream.terminal.data["usage"] == {"input_tokens": 1_110, "output_tokens": 7}
    (charged,) = (await client.ask("GET", "usage?limit=1")).json()["items"]
    assert (charged["source"], charged["credits_micro"]) == ("reported", 3 * 1_110 + 15 * 7)
    await client.told(chat_id, "Two")
    sent: Any = msgspec.json.decode(upstream.exchanges[-1].body)
    assert [(each["role"], [block["text"] for block in each["content"]]) for each in sent["messages"]] == [
        ("user", ["One"]),
        ("assistant", ["Hello there."]),
        ("user", ["Two"]),
    ]


async def test_a_web_search_shows_as_tool_events_and_its_sources_as_citations(
    client: Client, upstream: Upstream
) -> None:
    upstream.answer_with(
        MessagesApi(
            search("srvtoolu_1", "high water"),
            found("srvtoolu_1", TIDES),
            text("High water 😀 is at "),
            text("14:05", cited(TIDES, "<b>Tides</b>", "High water 14:05")),
            text(".", cited("http://127.0.0.1/secret", "Inside", "x")),
        )
    )
    chat_id = await client.chat(model="open")
    stream = await client.told(chat_id, "When?", web_search={"enabled": True})
    (tool,) = msgspec.json.decode(upstream.exchanges[-1].body)["tools"]
    assert (tool["type"], tool["name"], tool["max_uses"]) == ("web_search_20250305", "web_search", 2)
    assert [frame.data for frame in stream.frames if frame.event == "tool"] == [
        {"phase": "start", "name": "web_search", "details": {}},
        {"phase": "done", "name": "web_search", "details": {}},
    ]
    citation = {
        "source": "web",
        "title": "Tides",
        "url": TIDES,
        "snippet": "High water 14:05",
        "span": {"start": 19, "end": 24},
    }
    assert [frame.data for frame in stream.frames if frame.event == "citations"] == [{"items": [citation]}]
    answer = (await client.messages(chat_id))[-1]
    assert answer["content"][19:24] == "14:05"
    assert answer["citations"] == [citation]


@pytest.mark.parametrize(
    ("last", "ending"),
    [
        (not_found("s2", "max_uses_exceeded"), ("done", "stop")),
        (found("s2", TIDES), ("error", "web_search_calls_exceeded")),
    ],
)
async def test_a_search_that_the_provider_refused_as_one_too_many_does_no_harm(
    client: Client, upstream: Upstream, last: dict[str, Any], ending: tuple[str, str]
) -> None:
    allowed = [block for id_ in ("s0", "s1") for block in (search(id_, "q"), found(id_, TIDES))]
    upstream.answer_with(MessagesApi(*allowed, search("s2", "q"), last, text("14:05")))
    stream = await client.told(await client.chat(model="open"), "When?", web_search={"enabled": True})
    assert stream.terminal is not None
    told = stream.terminal.data
    assert (stream.terminal.event, told.get("finish_reason") or told.get("code")) == ending
    assert sum(frame.event == "tool" for frame in stream.frames) == 4


@pytest.mark.parametrize(("model", "thoughts"), [("open", "Let me see."), ("discreet", "")])
async def test_thinking_is_shown_where_the_catalogue_exposes_it_and_stored_nowhere(
    client: Client, upstream: Upstream, model: str, thoughts: str
) -> None:
    upstream.answer_with(MessagesApi(thinking("Let me see."), text("Yes.")))
    chat_id = await client.chat(model=model)
    stream = await client.told(chat_id)
    deltas = [frame.data for frame in stream.frames if frame.event == "delta"]
    assert "".join(delta["content"] for delta in deltas if delta["type"] == "reasoning") == thoughts
    assert "".join(delta["content"] for delta in deltas if delta["type"] == "text") == "Yes."
    assert (await client.messages(chat_id))[-1]["content"] == "Yes."


@pytest.mark.parametrize(
    ("reply", "code", "retryable"),
    [
        (refusal(400, "messages: text content blocks must be non-empty"), "provider_error", False),
        (refusal(400, "prompt is too long: 9 tokens > 8 maximum"), "context_budget_exceeded", False),
        (refusal(401), "provider_error", False),
        (refusal(404), "provider_error", False),
        (refusal(413), "provider_error", False),
        (refusal(429), "rate_limited", True),
        (refusal(500), "provider_error", True),
        (refusal(504), "provider_timeout", True),
        (refusal(529), "provider_unavailable", True),
        (sse(*BEGUN, failed("overloaded_error")), "provider_unavailable", True),
        (sse(*BEGUN, Action.CLOSE), "stream_interrupted", True),
        (sse(*BEGUN, b"data: {oops\n\n"), "provider_error", True),
    ],
)
async def test_what_goes_wrong_ends_the_turn_under_its_own_code(
    client: Client, upstream: Upstream, reply: Reply, code: str, retryable: bool
) -> None:
    upstream.reply(reply)
    stream = await client.told(await client.chat(model="open"))
    assert stream.terminal is not None
    assert (stream.terminal.data["code"], stream.terminal.data["retryable"]) == (code, retryable)
    told = str(stream.terminal.data)
    assert not any(secret in told for secret in ("msg_", "req_", "prompt is", "claude-test", upstream.url))


async def test_an_answer_that_breaks_off_is_charged_for_what_it_said(client: Client, upstream: Upstream) -> None:
    upstream.reply(sse(begin(message(input_tokens=50)), opened(text("")), said("word " * 400), Action.CLOSE))
    await client.told(await client.chat(model="open"))
    (charged,) = (await client.ask("GET", "usage?limit=1")).json()["items"]
    assert (charged["source"], charged["input_tokens"]) == ("estimated", 50)
    assert charged["output_tokens"] >= 400, "one token was counted before the first word"


async def test_a_cancelled_answer_is_charged_for_what_was_read_and_said(client: Client, upstream: Upstream) -> None:
    upstream.reply(sse(begin(message(input_tokens=50)), opened(text("")), said("word " * 400), Action.HANG))
    chat_id = await client.chat(model="open")
    async with client.stream(chat_id) as stream:
        await stream.first("delta")
        receipt = await client.ask("POST", f"chats/{chat_id}/turns/{stream.request_id}/cancel")
    await upstream.exchanges[-1].closed.wait()
    (charged,) = (await client.ask("GET", "usage?limit=1")).json()["items"]
    assert (charged["source"], charged["input_tokens"]) == ("estimated", 50)
    assert charged["output_tokens"] >= 400
    assert receipt.json()["credits_charged_micro"] == charged["credits_micro"]


@pytest.mark.parametrize(
    ("reason", "finish"), [("max_tokens", "length"), ("refusal", "content_filter"), ("pause_turn", "tool_limit")]
)
async def test_why_it_stopped_is_told(client: Client, upstream: Upstream, reason: str, finish: str) -> None:
    upstream.reply(sse(*BEGUN, closed(), ended(message(stop_reason=reason))))
    stream = await client.told(await client.chat(model="open"))
    assert stream.terminal is not None
    assert stream.terminal.data["finish_reason"] == finish

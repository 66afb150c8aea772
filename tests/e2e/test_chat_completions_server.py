"""Turns over a server of the chat completions format, from socket to socket."""

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import msgspec
import pytest

from tests.harness.client import Client
from tests.harness.postgres import Database, PostgresServer
from tests.harness.service import Service, serving, settings
from tests.harness.upstream import DONE, Action, Exchange, Reply, Upstream, finish, frame, refusal, sse, text, usage
from tests.upstreams.openai_chat import KEY, MODEL, PROMPT_TOKENS, ChatServer, error, throttled

GPT: Final = {
    "provider_id": "gpt",
    "provider_model_id": MODEL,
    "system_prompt": "Be brief.",
    "api_params": {"temperature": 0.5, "stop": ["END"], "extra_body": {"service_tier": "flex", "store": True}},
}
MODELS: Final = ({**GPT, "id": "open", "exposes_reasoning": True}, {**GPT, "id": "discreet"})


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
async def gpt_service(
    module_database: Database, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Service]:
    provider = {
        "KIND": "openai_chat",
        "FLAVOUR": "openai",
        "BASE_URL": upstream.url,
        "AUTH__KEY": "env:GPT_KEY",
        "ALLOW_HTTP": "true",
        "ALLOW_PRIVATE_NETWORK": "true",
        "BREAKER_FAILURES": "0",
    }
    env = settings(module_database, {"echo": "mock-echo"}, None, *MODELS) | {"GPT_KEY": KEY}
    env |= {f"MINI_CHAT_PROVIDERS__GPT__{name}": value for name, value in provider.items()}
    async with serving(tmp_path_factory.mktemp("gpt"), module_database, env) as service:
        yield service


@pytest.fixture
async def client(gpt_service: Service) -> AsyncIterator[Client]:
    async with gpt_service.caller() as client:
        yield client


async def test_the_public_api_takes_a_conversation_and_its_answer_is_told_counted_and_kept(
    client: Client, upstream: Upstream
) -> None:
    upstream.answer_with(ChatServer("Hello", " there", reasoning_tokens=5))
    chat_id = await client.chat(model="discreet")
    await client.told(chat_id, "Hi")
    stream = await client.told(chat_id, "And now?")
    done = stream.frames[-1].data
    assert (done["usage"], done["finish_reason"]) == ({"input_tokens": PROMPT_TOKENS, "output_tokens": 7}, "stop")
    assert [message["content"] for message in await client.messages(chat_id)][-1] == "Hello there"
    body = msgspec.json.decode(upstream.exchanges[-1].body)
    pseudonym = body.pop("safety_identifier")
    assert len(pseudonym) == 32
    assert body.pop("max_completion_tokens") > 0
    assert body == {
        "model": MODEL,
        "stream": True,
        "stream_options": {"include_usage": True},
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello there"},
            {"role": "user", "content": "And now?"},
        ],
        "temperature": 0.5,
        "stop": ["END"],
        "service_tier": "flex",
    }


@pytest.mark.parametrize(("model", "shown"), [("open", ["Hm."]), ("discreet", [])])
async def test_reasoning_is_shown_where_the_model_may_and_kept_nowhere(
    client: Client, upstream: Upstream, model: str, shown: list[str]
) -> None:
    thought = frame({"choices": [{"index": 0, "delta": {"reasoning_content": "Hm."}}]})
    upstream.reply(sse(thought, text("Yes."), finish(), usage(4, 3), DONE))
    chat_id = await client.chat(model=model)
    stream = await client.told(chat_id)
    deltas = [frame.data for frame in stream.frames if frame.event == "delta"]
    assert [delta["content"] for delta in deltas if delta["type"] == "reasoning"] == shown
    assert (await client.messages(chat_id))[-1]["content"] == "Yes."


FILTERED: Final = {
    "message": "Filtered.",
    "code": "content_filter",
    "status": 400,
    "innererror": {"code": "ResponsibleAIPolicyViolation"},
}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda _: refusal(400, {"error": FILTERED}), "content_filter"),
        (ChatServer("a", finish="content_filter"), "content_filter"),
        (ChatServer("a", finish="length"), "length"),
        (lambda _: sse(text("a"), finish("eos")), "stop"),
    ],
    ids=["prompt filtered", "answer filtered", "cut", "no goodbye"],
)
async def test_what_is_no_failure_is_done(
    client: Client, upstream: Upstream, answer: Callable[[Exchange], Reply], reason: str
) -> None:
    upstream.answer_with(answer)
    stream = await client.told(model="open")
    assert (stream.frames[-1].event, stream.frames[-1].data["finish_reason"]) == ("done", reason)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda _: throttled(Retry_After="7"), ("rate_limited", True, 7_000)),
        (lambda _: error(401, f"The key {KEY} is wrong.", code="invalid_api_key"), ("provider_error", False, None)),
        (lambda _: error(404, "There is no such model.", code="model_not_found"), ("provider_error", False, None)),
        (lambda _: error(500, "Something is broken."), ("provider_error", True, None)),
        (ChatServer("Hel", breaks_with={"message": KEY, "code": 429}), ("rate_limited", True, None)),
        (lambda _: sse(text("Hel"), Action.RESET), ("stream_interrupted", True, None)),
    ],
    ids=["throttled", "wrong key", "unknown model", "broken", "throttled midway", "reset"],
)
async def test_what_is_a_failure_has_its_code_and_no_word_of_the_server(
    client: Client,
    upstream: Upstream,
    answer: Callable[[Exchange], Reply],
    expected: tuple[str, bool, int | None],
) -> None:
    upstream.answer_with(answer)
    stream = await client.told(model="open")
    failed: dict[str, Any] = stream.frames[-1].data
    assert stream.frames[-1].event == "error"
    assert (failed["code"], failed["retryable"], failed.get("retry_after_ms")) == expected
    assert KEY not in str(failed)

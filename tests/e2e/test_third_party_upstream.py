"""Turns through a proxy that others wrote: LiteLLM, as it comes from PyPI, with answers of its own making.

`just test-upstream` brings it in an environment of its own and names its command in TESTS_LITELLM.
"""

import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

import msgspec
import pytest
from openai import AsyncOpenAI

from domain.providers.errors import FailureKind
from domain.providers.events import Completed, FunctionCall, ToolStart
from domain.providers.request import Function, UserText
from infra.providers.driver import HttpProvider
from infra.providers.settings import Flavour
from tests.harness.chat_upstream import chat_upstream
from tests.harness.client import Client
from tests.harness.postgres import Database, PostgresServer
from tests.harness.processes import Server, free_port, http_server
from tests.harness.provider_calls import collected, failure_kind, request_for, said
from tests.harness.service import serving, settings
from tests.harness.upstream import Exchange, Reply, Upstream
from tests.harness.wire_shapes import joined
from tests.upstreams.openai_chat import (
    CACHED_TOKENS,
    MODEL,
    PROMPT_TOKENS,
    WINDOW_TOKENS,
    Called,
    ChatServer,
    error,
    throttled,
)
from tests.upstreams.openai_chat import KEY as FAKE_KEY

ANSWER: Final = "The quick brown fox jumps over the lazy dog."
KEY: Final = "sk-of-this-test"
STARTS_WITHIN_S: Final = 90
_QUIET: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # it would ask the internet for prices
    "LITELLM_LOG": "ERROR",
    "NO_DOCS": "True",
}
PLAYED: Final = {
    "canned": ANSWER,
    "thinking": f"<think>Which one was it?</think>\n\n{ANSWER}",
    "throttled": "litellm.RateLimitError",
    "overflowing": "litellm.ContextWindowExceededError",
    "broken": "litellm.InternalServerError",
    "overloaded": "Exception: mock_streaming_error",
}
MODELS: Final = [
    {"id": name, "provider_id": "litellm", "provider_model_id": name, "exposes_reasoning": True}
    for name in (*PLAYED, "nobody-knows-it")
]
WEATHER: Final = Function(name="get_weather", description="The weather.", schema={"type": "object", "properties": {}})

pytestmark = [pytest.mark.third_party, pytest.mark.timeout(2 * STARTS_WITHIN_S)]


@pytest.fixture(scope="module")
async def behind_it(anyio_backend: object) -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        upstream.answer_with(ChatServer())  # the proxy looks at it while it starts
        yield upstream


@pytest.fixture(scope="module")
async def proxy(behind_it: Upstream, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    if "TESTS_LITELLM" not in os.environ:
        pytest.skip("LiteLLM is not here: `just test-upstream` brings it")
    folder, port = tmp_path_factory.mktemp("litellm"), free_port()
    (folder / "config.yaml").write_bytes(msgspec.json.encode(configuration(behind_it)))  # JSON is YAML
    command = [os.environ["TESTS_LITELLM"], "--config", "config.yaml", "--host", "127.0.0.1", "--port", str(port)]
    async with http_server(
        [*command, "--telemetry", "False"],
        port=port,
        ready_path="/health/liveliness",
        directory=folder,
        env=_QUIET,
        ready_within_seconds=STARTS_WITHIN_S,
    ) as server:
        yield server


def configuration(behind_it: Upstream) -> dict[str, object]:
    """Nothing leaves the machine: models are texts that the proxy plays, names of faults, and our fake behind it."""
    relayed = {"model": f"openai/{MODEL}", "api_key": FAKE_KEY, "api_base": f"{behind_it.url}/v1", "max_retries": 0}
    models: list[dict[str, object]] = [
        {
            "model_name": name,
            "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "none", "mock_response": played},
        }
        for name, played in PLAYED.items()
    ]
    return {
        "model_list": [*models, {"model_name": "relayed", "litellm_params": relayed}],
        "general_settings": {"master_key": KEY},
        "litellm_settings": {"telemetry": False},
        "router_settings": {"num_retries": 0, "disable_cooldowns": True},
    }


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
async def caller(
    proxy: Server, module_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Client]:
    provider = {
        "KIND": "openai_chat",
        "FLAVOUR": "litellm",
        "BASE_URL": proxy.url,
        "AUTH__KEY": "env:LITELLM_KEY",
        "ALLOW_HTTP": "true",
        "ALLOW_PRIVATE_NETWORK": "true",
    }
    env = settings(module_database, {"mock": "mock"}, None, *MODELS) | {"LITELLM_KEY": KEY}
    env |= {f"MINI_CHAT_PROVIDERS__LITELLM__{name}": value for name, value in provider.items()}
    folder = tmp_path_factory.mktemp("mini-chat")
    async with serving(folder, module_database, env) as service, service.caller() as caller:
        yield caller


async def as_the_official_client_hears_it(proxy: Server, content: str) -> tuple[str, dict[str, int]]:
    """Text and count of the same answer, asked for without us."""
    async with AsyncOpenAI(base_url=f"{proxy.url}/v1", api_key=KEY) as client:
        chunks = await client.chat.completions.create(
            model="canned",
            messages=[{"role": "user", "content": content}],
            stream=True,
            stream_options={"include_usage": True},
        )
        heard = [chunk async for chunk in chunks]
    text = "".join(choice.delta.content or "" for chunk in heard for choice in chunk.choices)
    (usage,) = [chunk.usage for chunk in heard if chunk.usage]
    return text, {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}


async def test_a_turn_streams_through_it_with_its_text_and_its_count(caller: Client, proxy: Server) -> None:
    content = "Which animal jumps, and over which?"
    stream = await caller.told(content=content, model="canned")
    texts = [frame.data["content"] for frame in stream.frames if frame.event == "delta"]
    done = stream.frames[-1]
    assert len(texts) > 1
    assert (done.event, done.data["finish_reason"], done.data["effective_model"]) == ("done", "stop", "canned")
    heard, usage = await as_the_official_client_hears_it(proxy, content)
    assert ("".join(texts), done.data["usage"]) == (heard, usage)
    assert heard == ANSWER


async def test_its_reasoning_is_told_from_its_answer(caller: Client) -> None:
    stream = await caller.told(model="thinking")
    told = {"text": "", "reasoning": ""}
    for frame in stream.frames:
        if frame.event == "delta":
            told[frame.data["type"]] += frame.data["content"]
    assert told == {"text": ANSWER, "reasoning": "Which one was it?"}


@pytest.mark.parametrize(
    ("model", "code", "retryable"),
    [
        ("nobody-knows-it", "provider_error", False),
        ("throttled", "rate_limited", True),
        ("overflowing", "context_budget_exceeded", False),
        ("broken", "provider_error", True),
        ("overloaded", "provider_unavailable", True),
    ],
)
async def test_its_refusals_are_told_apart(caller: Client, model: str, code: str, retryable: bool) -> None:
    stream = await caller.told(model=model)
    error = stream.frames[-1]
    assert (error.event, error.data["code"], error.data["retryable"]) == ("error", code, retryable)


@asynccontextmanager
async def relayed(proxy: Server) -> AsyncIterator[HttpProvider]:
    async with chat_upstream(
        url=proxy.url, key=KEY, flavour=Flavour.LITELLM, max_tokens_field="max_completion_tokens"
    ) as chat:
        yield chat.provider


async def test_calls_of_functions_pass_through_it(proxy: Server, behind_it: Upstream) -> None:
    behind_it.answer_with(ChatServer("One", " moment.", calls=[Called("get_weather", ['{"city":', '"Paris"}'])] * 2))
    async with relayed(proxy) as provider:
        events = joined(await collected(provider, request_for("relayed", tools=(WEATHER,))))
    assert said(events) == "One moment."
    assert [type(event) for event in events[2:4]] == [ToolStart, ToolStart]
    assert [event for event in events if isinstance(event, FunctionCall)] == [
        FunctionCall(key=f"call_{number}", name="get_weather", arguments='{"city":"Paris"}') for number in range(2)
    ]
    terminal = events[-1]
    assert isinstance(terminal, Completed)
    assert terminal.usage is not None
    assert (terminal.usage.input_tokens, terminal.usage.cache_read_tokens) == (PROMPT_TOKENS, CACHED_TOKENS)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (lambda _: throttled(Retry_After="7"), FailureKind.RATE_LIMITED),
        (lambda _: error(500, "Something is broken."), FailureKind.SERVER_ERROR),
        (lambda _: error(401, "Wrong.", code="invalid_api_key"), FailureKind.AUTH),
        (ChatServer("never said"), FailureKind.CONTEXT_LENGTH),
    ],
    ids=["throttled", "broken", "wrong key", "too long"],
)
async def test_refusals_pass_through_it(
    proxy: Server, behind_it: Upstream, answer: Callable[[Exchange], Reply], kind: FailureKind
) -> None:
    behind_it.answer_with(answer)
    request = request_for("relayed", items=(UserText("x " * WINDOW_TOKENS),))
    async with relayed(proxy) as provider:
        assert failure_kind(await collected(provider, request)) is kind

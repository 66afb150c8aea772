"""The fake token server behaves as documented to a client that is not ours; no official one exists."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.harness.upstream import Upstream
from tests.upstreams.inference_http import KEY, InferenceServer, answered, called, token

ASKED = {"messages": [{"role": "user", "content": "Hi"}], "temperature": 0.5, "top_k": 5, "max_tokens": 9}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as upstream:
        upstream.answer_with(InferenceServer(token("a"), called({"name": "web_search"}), answered("[]"), token("ü")))
        yield upstream


async def posted(upstream: Upstream, body: Any, key: str = KEY) -> tuple[int, str, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{upstream.url}/generate", json=body, headers={"X-Internal-API-Key": key}) as response,
    ):
        return response.status, response.content_type, await response.text()


async def test_tokens_come_as_events_and_the_last_one_says_done(upstream: Upstream) -> None:
    status, media_type, body = await posted(upstream, ASKED)
    assert (status, media_type) == (200, "text/event-stream")
    blocks = body.removesuffix("\n\n").split("\n\n")
    assert [json.loads(block.removeprefix("data: ")) for block in blocks] == [
        {"token": "a"},
        {"token": '<|python_start|>{"name":"web_search"}<|python_end|>'},
        {"token": "<|output_start|>[]<|output_end|>"},
        {"token": "ü"},
        {"done": True},
    ]


@pytest.mark.parametrize(
    "change",
    [
        {"messages": []},
        {"messages": [{"role": "system", "content": "Be kind."}]},
        {"messages": [{"role": "user", "content": ""}]},
        {"messages": [{"role": "assistant", "content": "Hi"}]},
        {"messages": [{"role": "user", "content": "x" * 8_001}]},
        {"messages": [{"role": "user", "content": "x" * 8_000}] * 5},
        {"messages": [{"role": "user", "content": "x"}] * 501},
        {"messages": "Hi"},
        {"temperature": 2.1},
        {"top_k": 201},
        {"max_tokens": 0},
        {"max_tokens": 4_097},
        {"stream": True},
    ],
)
async def test_what_the_server_does_not_know_or_take_is_refused(upstream: Upstream, change: dict[str, Any]) -> None:
    status, media_type, body = await posted(upstream, ASKED | change)
    assert (status, media_type, set(json.loads(body))) == (400, "application/json", {"detail"})


async def test_the_limits_themselves_are_taken(upstream: Upstream) -> None:
    message = {"role": "user", "content": "x" * 8_000}
    for change in ({"messages": [message] * 4}, {"temperature": 2, "top_k": 200, "max_tokens": 4_096}):
        assert (await posted(upstream, ASKED | change))[0] == 200


async def test_a_wrong_key_and_a_server_without_a_model_are_told_apart(upstream: Upstream) -> None:
    assert (await posted(upstream, ASKED, key="other"))[0] == 401
    upstream.answer_with(InferenceServer(status=503))
    assert (await posted(upstream, ASKED))[0] == 503

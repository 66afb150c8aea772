"""However many sends come at once over however many sockets, a chat answers one and a request_id names one turn."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from typing import Any
from uuid import uuid4

import anyio
import pytest

from tests.harness.bridge import Answer
from tests.harness.client import Client
from tests.harness.service import Service
from tests.harness.upstream import DONE, Upstream, finish, sse, text

CALLERS = 50
SHORT = sse(text("Once"), 0.5, finish(), DONE)


@pytest.fixture
async def client(service: Service, upstream: Upstream) -> AsyncIterator[Client]:
    upstream.reply(SHORT)
    async with service.caller() as client:
        yield client


async def all_at_once(client: Client, path: str, headers: Mapping[str, str] | None = None, **body: Any) -> list[Answer]:
    answers: list[Answer] = []

    async def ask() -> None:
        answers.append(await client.ask("POST", path, {"content": "Hello", **body}, headers))

    async with anyio.create_task_group() as group:
        for _ in range(CALLERS):
            group.start_soon(ask)
    return answers


def outcomes(answers: list[Answer]) -> Counter[str]:
    return Counter("accepted" if answer.status == 200 else answer.json()["code"] for answer in answers)


@pytest.mark.parametrize("form", ["messages", "messages:stream"])
async def test_of_fifty_sends_into_one_chat_one_is_accepted(client: Client, upstream: Upstream, form: str) -> None:
    calls = len(upstream.exchanges)
    chat_id = await client.chat(model="remote")
    answers = await all_at_once(client, f"chats/{chat_id}/{form}")
    assert outcomes(answers) == {"accepted": 1, "generation_in_progress": CALLERS - 1}
    named = {answer.json()["running_request_id"] for answer in answers if answer.status == 409}
    messages = await client.messages(chat_id)
    assert named == {messages[0]["request_id"]}
    assert [message["content"] for message in messages] == ["Hello", "Once"]
    assert len(upstream.exchanges) - calls == 1


@pytest.mark.parametrize("path", ["chats/{}/messages", "chats:send"])
@pytest.mark.parametrize("by_header", [False, True], ids=["request_id", "Idempotency-Key"])
async def test_fifty_sends_under_one_key_are_one_turn(
    client: Client, upstream: Upstream, path: str, *, by_header: bool
) -> None:
    calls, key = len(upstream.exchanges), str(uuid4())
    body = {} if by_header else {"request_id": key}
    headers = {"Idempotency-Key": f'"{key}"'} if by_header else {}
    if path == "chats:send":
        body["model"] = "remote"
    else:
        path = path.format(await client.chat(model="remote"))
    answers = await all_at_once(client, path, headers, **body)
    assert outcomes(answers) <= Counter({"accepted": CALLERS, "request_id_conflict": CALLERS - 1})
    accepted = [answer.json() for answer in answers if answer.status == 200]
    assert [answer["is_new_turn"] for answer in accepted].count(True) == 1
    assert {answer["request_id"] for answer in accepted} == {key}
    assert len({answer["message"]["id"] for answer in accepted}) == 1
    assert len(upstream.exchanges) - calls == 1


async def test_a_stream_is_told_again_under_its_key(client: Client, upstream: Upstream) -> None:
    calls, key = len(upstream.exchanges), str(uuid4())
    chat_id = await client.chat(model="remote")
    first = await client.told(chat_id, request_id=key)
    again = await client.told(chat_id, headers={"Idempotency-Key": key})
    assert (again.text, again.message_id) == (first.text, first.message_id)
    assert again.terminal == first.terminal_told_again
    assert [frame.event for frame in again.frames] == ["stream_started", "delta", "done"]
    assert again.frames[0].data["is_new_turn"] is False
    assert len(upstream.exchanges) - calls == 1
    other = await client.ask("POST", f"chats/{chat_id}/messages", {"content": "Other", "request_id": key})
    assert (other.status, other.json()["code"]) == (422, "request_id_reused")

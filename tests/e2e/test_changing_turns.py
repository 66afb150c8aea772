"""Retry, edit and delete as a client sees them, and a chat that is deleted while it is being answered."""

from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest

from tests.harness.bridge import Answer
from tests.harness.client import Client
from tests.harness.service import Service
from tests.harness.upstream import DONE, Action, Upstream, finish, sse, text


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with service.caller() as client:
        yield client


async def turn(client: Client, chat_id: str, name: str = "latest") -> Answer:
    return await client.ask("GET", f"chats/{chat_id}/turns/{name}")


def code_of(answer: Answer) -> tuple[int, str]:
    return answer.status, answer.json()["code"]


async def test_a_retry_needs_no_body_and_replaces_the_answer(client: Client) -> None:
    chat_id = await client.chat()
    old = await client.told(chat_id, "Tides")
    new = await client.changed(chat_id)
    assert (new.text, new.frames[0].data["is_new_turn"]) == ("Tides", True)
    assert {new.request_id, new.message_id}.isdisjoint({old.request_id, old.message_id})
    assert [message["request_id"] for message in await client.messages(chat_id)] == [new.request_id] * 2
    replaced = (await turn(client, chat_id, old.request_id)).json()
    assert (replaced["state"], replaced["replaced_by_request_id"]) == ("done", new.request_id)
    assert replaced["deleted_at"] == replaced["updated_at"] > replaced["created_at"]
    latest = (await turn(client, chat_id)).json()
    assert (latest["request_id"], latest["assistant_message_id"]) == (new.request_id, new.message_id)


async def test_an_edit_asks_the_other_question(client: Client) -> None:
    chat_id = await client.chat()
    old = await client.told(chat_id, "Tides")
    new = await client.changed(chat_id, "Currents", turn=old.request_id.upper())
    assert new.text == "Currents"
    assert [message["content"] for message in await client.messages(chat_id)] == ["Currents", "Currents"]
    assert (await client.ask("GET", f"chats/{chat_id}")).json()["message_count"] == 2


async def test_a_deleted_turn_is_gone_and_stays_known(client: Client) -> None:
    chat_id = await client.chat()
    kept, gone = await client.told(chat_id, "one"), await client.told(chat_id, "two")
    answer = await client.ask("DELETE", f"chats/{chat_id}/turns/latest")
    assert (answer.status, answer.body) == (204, b"")
    assert [message["content"] for message in await client.messages(chat_id)] == ["one", "one"]
    assert (await client.ask("GET", f"chats/{chat_id}")).json()["message_count"] == 2
    assert (await turn(client, chat_id)).json()["request_id"] == kept.request_id
    deleted = (await turn(client, chat_id, gone.request_id)).json()
    assert "deleted_at" in deleted
    assert "replaced_by_request_id" not in deleted
    again = await client.ask("DELETE", f"chats/{chat_id}/turns/{gone.request_id}")
    assert code_of(again) == (409, "not_latest_turn")
    sent = await client.ask("POST", f"chats/{chat_id}/messages", {"content": "two", "request_id": gone.request_id})
    assert code_of(sent) == (409, "request_id_conflict")
    assert sent.json()["turn_state"] == "done"


@pytest.mark.parametrize("content", [None, "Currents"], ids=["retry", "edit"])
async def test_a_change_is_told_again_under_its_key(client: Client, upstream: Upstream, content: str | None) -> None:
    upstream.reply(sse(text("Once"), finish(), DONE))
    chat_id, key = await client.chat(model="remote"), str(uuid4())
    old = await client.told(chat_id)
    calls = len(upstream.exchanges)
    headers = {"Idempotency-Key": f'"{key}"'}
    first = await client.changed(chat_id, content, turn=old.request_id, headers=headers)
    again = await client.changed(chat_id, content, turn=old.request_id, headers=headers)
    assert (first.request_id, again.request_id) == (key, key)
    assert (again.text, again.message_id) == (first.text, first.message_id)
    assert again.terminal == first.terminal_told_again
    assert [first.frames[0].data["is_new_turn"], again.frames[0].data["is_new_turn"]] == [True, False]
    assert len(upstream.exchanges) - calls == 1
    other = await client.ask("POST", f"chats/{chat_id}/turns/latest/retry", {"request_id": key})
    assert code_of(other) == (422, "request_id_reused")


async def test_what_cannot_change_says_why(client: Client, upstream: Upstream) -> None:
    upstream.reply(sse(text("Once"), finish(), DONE), sse(text("One, "), Action.HANG))
    chat_id = await client.chat(model="remote")
    older = (await client.told(chat_id)).request_id
    async with client.stream(chat_id) as running:
        await running.first("delta")
        for method, path, body in (("POST", "/retry", None), ("PATCH", "", {"content": "x"}), ("DELETE", "", None)):
            refused = await client.ask(method, f"chats/{chat_id}/turns/latest{path}", body)
            assert code_of(refused) == (400, "invalid_turn_state")
            assert refused.json()["turn_state"] == "running"
            refused = await client.ask(method, f"chats/{chat_id}/turns/{older}{path}", body)
            assert code_of(refused) == (409, "not_latest_turn")
            refused = await client.ask(method, f"chats/{chat_id}/turns/{uuid4()}{path}", body)
            assert code_of(refused) == (404, "turn_not_found")


@pytest.mark.parametrize(
    ("method", "path", "body", "field", "code"),
    [
        ("PATCH", "", {}, "content", "required"),
        ("PATCH", "", {"content": " "}, "content", "blank"),
        ("POST", "/retry", {"web_search": {}}, "web_search.enabled", "required"),
        ("POST", "/retry", {"on_disconnect": "never"}, "on_disconnect", "invalid_value"),
        ("POST", "/retry", {"request_id": "x"}, "request_id", "invalid_uuid"),
        ("POST", "/retry", [], "", "type"),
        ("POST", "/retry", {"request_id": str(uuid4())}, "Idempotency-Key", "invalid_value"),
    ],
)
async def test_the_body_is_looked_at_first(
    client: Client, method: str, path: str, body: object, field: str, code: str
) -> None:
    headers = {"Idempotency-Key": str(uuid4())}
    answer = await client.ask(method, f"chats/{uuid4()}/turns/latest{path}", body, headers)
    assert code_of(answer) == (400, "invalid_request")
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["code"]) == (field, code)


async def test_deleting_a_chat_stops_its_answer_and_the_model(client: Client, upstream: Upstream) -> None:
    upstream.reply(sse(text("One, "), Action.HANG))
    chat_id = await client.chat(model="remote")
    async with client.stream(chat_id) as stream:
        await stream.first("delta")
        assert (await client.ask("DELETE", f"chats/{chat_id}")).status == 204
        with anyio.fail_after(1):
            await upstream.exchanges[-1].closed.wait()
        terminal = await stream.end()
    assert (terminal.event, terminal.data["code"], terminal.data["retryable"]) == ("error", "turn_cancelled", False)
    for method, path in (("GET", ""), ("POST", "/retry"), ("DELETE", "")):
        gone = await client.ask(method, f"chats/{chat_id}/turns/{stream.request_id}{path}")
        assert code_of(gone) == (404, "chat_not_found")

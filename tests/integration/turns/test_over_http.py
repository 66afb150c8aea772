"""The four send routes over the real engine: what a client sees of a turn, and what its leaving does to it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, cast
from uuid import UUID, uuid4

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint

from api.rest.cursor import CursorKeys, Cursors
from api.rest.request_body import BodyLimits
from api.rest.routes import RestServices
from api.rest.turns.controller import CreateAndSendController, SendController, Sending
from api.streaming.response import KeepAlive
from app.drain import DrainSwitch
from app.http_app import create_http_app
from domain.auth.policy import Policy
from domain.catalogue.service import ModelService
from domain.clock import SystemClock
from domain.ids import ChatId
from domain.providers.errors import FailureKind, ProviderFailure
from domain.providers.events import Completed, Failed, Finish, ProviderEvent, TextDelta, Usage
from domain.subject import Subject
from tests.fakes.limits import unlimited
from tests.fakes.providers import FunctionProvider, Play, saying
from tests.harness.bridge import Answer, App, open_exchange, request
from tests.harness.engine import MODEL, Engine, FixedCatalogue, a_chat, a_user, running_engine
from tests.harness.postgres import Database
from tests.integration.turns.books import Answer as Stored
from tests.integration.turns.books import answers_of, only_turn

pytestmark = pytest.mark.postgres

CHATS = "/mini-chat/v1/chats"
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADERS = {
    "Content-Type": "application/json",
    "Authorization": "Bearer any",
    "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01",
}
NEVER = saying("never", gate=anyio.sleep_forever)


class OneUser:
    def __init__(self, who: Subject) -> None:
        self._who = who

    async def verify(self, token: str | None) -> Subject:
        return self._who


class World:
    def __init__(self, engine: Engine, provider: FunctionProvider, database: Database) -> None:
        self.engine, self.provider, self.database = engine, provider, database
        self.who = a_user()
        self.app = self._app()

    def _app(self) -> App:
        policy, clock = Policy(), SystemClock()
        services = RestServices(
            chats=self.engine.chats,
            messages=self.engine.messages,
            models=ModelService(policy, FixedCatalogue(MODEL)),
            verifier=OneUser(self.who),
            policy=policy,
            rates=unlimited(),
            cursors=Cursors(CursorKeys(current=b"k" * 32)),
            drain=DrainSwitch(),
            checks={},
            limits=BodyLimits(max_bytes=64 * 1024, stall=timedelta(seconds=5)),
            further_controllers=(SendController, CreateAndSendController),
            further_dependencies={"sending": Sending(turns=self.engine.turns, keep_alive=KeepAlive())},
        )
        return cast("App", create_http_app(services, clock=clock))

    async def chat(self) -> ChatId:
        return await a_chat(self.engine, self.who)

    async def post(self, path: str, **body: object) -> Answer:
        return await request(self.app, "POST", f"{CHATS}{path}", HEADERS, msgspec.json.encode(body))

    async def told(self, path: str, **body: object) -> list[tuple[str, dict[str, Any]]]:
        """Name and data of every event of a stream."""
        answer = await self.post(path, **body)
        assert answer.status == 200, answer.body
        frames = [frame.split("\n") for frame in answer.body.decode().removesuffix("\n\n").split("\n\n")]
        return [
            (name.removeprefix("event: "), msgspec.json.decode(data.removeprefix("data: "))) for _, name, data in frames
        ]


@asynccontextmanager
async def a_world(database: Database, play: Play) -> AsyncIterator[World]:
    provider = FunctionProvider(play)
    async with running_engine(database.dsn, provider) as engine:
        yield World(engine, provider, database)


def failing(kind: FailureKind) -> Play:
    async def play(_: object) -> AsyncIterator[list[ProviderEvent]]:
        yield [TextDelta("One, two")]
        yield [Failed(failure=ProviderFailure(kind=kind, retry_after_ms=2_000, detail="secret"))]

    return play


async def test_a_unary_send_answers_with_what_is_stored(database: Database) -> None:
    async with a_world(database, saying("Déjà ", "vu.\n")) as world:
        chat_id, key = await world.chat(), uuid4()
        answer = await world.post(f"/{chat_id}/messages", content="Hello", request_id=str(key))
        body = answer.json()
    assert answer.status == 200
    assert (body["chat_id"], body["request_id"], body["is_new_turn"]) == (str(chat_id), str(key), True)
    assert (body["message"]["content"], body["finish_reason"]) == ("Déjà vu.\n", "stop")
    assert body["usage"] == {"input_tokens": 11, "output_tokens": 2}


async def test_stream_and_unary_tell_the_same_turn_under_one_key(database: Database) -> None:
    async with a_world(database, saying("a")) as world:
        chat_id, key = await world.chat(), str(uuid4())
        unary = (await world.post(f"/{chat_id}/messages", content="Hello", request_id=key)).json()
        again = (await world.post(f"/{chat_id}/messages", content="Hello", request_id=key)).json()
        (_, started), (_, delta), (_, done) = await world.told(
            f"/{chat_id}/messages:stream", content="Hello", request_id=key
        )
        assert len(world.provider.requests) == 1
    assert again == unary | {"is_new_turn": False, "quota_warnings": []}
    assert started == {"request_id": key, "message_id": unary["message"]["id"], "is_new_turn": False}
    assert delta == {"type": "text", "content": "a"}
    assert (done["usage"], done["timing"]) == (unary["usage"], unary["timing"])


STATUSES = [
    (FailureKind.UNREACHABLE, 503, "provider_unavailable"),
    (FailureKind.AUTH, 502, "provider_error"),
    (FailureKind.INTERRUPTED, 502, "stream_interrupted"),
    (FailureKind.TIMEOUT, 504, "provider_timeout"),
    (FailureKind.RATE_LIMITED, 429, "rate_limited"),
    (FailureKind.CONTEXT_LENGTH, 422, "context_budget_exceeded"),
    (FailureKind.INTERNAL, 500, "internal_error"),
]


@pytest.mark.parametrize(("kind", "status", "code"), STATUSES)
async def test_a_unary_send_whose_turn_fails_is_a_problem_that_names_the_turn(
    database: Database, kind: FailureKind, status: int, code: str
) -> None:
    async with a_world(database, failing(kind)) as world:
        chat_id, key = await world.chat(), str(uuid4())
        answer = await world.post(f"/{chat_id}/messages", content="Hello", request_id=key)
        problem = answer.json()
        assert await answers_of(database, chat_id) == [Stored("One, two", is_partial=True)]
        assert (await only_turn(database, chat_id))["error_code"] == code
    assert (answer.status, problem["code"]) == (status, code)
    assert (problem["request_id"], problem["chat_id"], problem["trace_id"]) == (key, str(chat_id), TRACE_ID)
    assert b"secret" not in answer.body


@pytest.mark.parametrize("path", ["/messages", "/messages:stream"])
async def test_a_client_that_leaves_cancels_its_turn(database: Database, path: str) -> None:
    async with a_world(database, NEVER) as world:
        chat_id = await world.chat()
        body = msgspec.json.encode({"content": "Hello"})
        async with open_exchange(world.app, "POST", f"{CHATS}/{chat_id}{path}", HEADERS, body) as exchange:
            await _until_running(world)
            exchange.disconnect()
            with anyio.fail_after(5):
                await exchange.ended.wait()
                await world.engine.supervisor.wait_idle(timedelta(seconds=5))
        assert (await only_turn(database, chat_id))["state"] == "cancelled"
        assert world.provider.closed == 1


async def test_a_turn_that_may_continue_outlives_the_client_of_a_unary_send(database: Database) -> None:
    go_on = anyio.Event()
    async with a_world(database, saying("a", gate=go_on.wait)) as world:
        chat_id = await world.chat()
        body = msgspec.json.encode({"content": "Hello", "on_disconnect": "continue"})
        async with open_exchange(world.app, "POST", f"{CHATS}/{chat_id}/messages", HEADERS, body) as exchange:
            await _until_running(world)
            exchange.disconnect()
            with anyio.fail_after(5):
                await exchange.ended.wait()
        go_on.set()
        await world.engine.supervisor.wait_idle(timedelta(seconds=5))
        assert (await only_turn(database, chat_id))["state"] == "completed"


@pytest.mark.parametrize("path", [":send", ":stream"])
async def test_creating_sends_name_the_new_chat(database: Database, path: str) -> None:
    async with a_world(database, saying("a")) as world:
        answer = await world.post(path, content="Hello", title="Tides")
        chat_id = answer.header("x-chat-id")
        assert chat_id is not None
        assert answer.header("location") == f"{CHATS}/{chat_id}"
        chat = await world.engine.chats.get(world.who, ChatId(UUID(chat_id)))
        assert (chat.title, chat.message_count) == ("Tides", 2)


async def test_an_answer_without_text_is_a_stream_of_two_events_and_an_empty_message(database: Database) -> None:
    async def silent(_: object) -> AsyncIterator[list[ProviderEvent]]:
        yield [Completed(finish=Finish.CONTENT_FILTER, usage=Usage(input_tokens=1, output_tokens=0))]

    async with a_world(database, silent) as world:
        chat_id = await world.chat()
        (first, _), (last, done) = await world.told(f"/{chat_id}/messages:stream", content="Hello")
        assert (first, last, done["finish_reason"]) == ("stream_started", "done", "content_filter")
        assert done["timing"]["ttft_ms"] is None
        assert await answers_of(database, chat_id) == [Stored("", is_partial=False)]


async def _until_running(world: World) -> None:
    with anyio.fail_after(5):
        while not world.provider.requests:
            await checkpoint()

"""A turn is cancelled on request: in any phase, by any process, with Redis between them or nothing but the database."""

import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any, Final
from uuid import uuid4

import anyio
import msgspec
import pytest

from tests.harness.auditor import audit
from tests.harness.chance import seeded
from tests.harness.client import Client, calling
from tests.harness.eventually import eventually, until
from tests.harness.postgres import Database, PostgresServer
from tests.harness.processes import Server, mini_chat
from tests.harness.redis import RedisServer
from tests.harness.service import settings
from tests.harness.sse_client import EventStream
from tests.harness.upstream import Action, Exchange, Reply, Upstream, sse, text

MODELS: Final = {
    "silent": "mock-hang0",
    "endless": "mock-itl20-len100000",
    "tooling": "mock-itl60000-tool1",
    "racing": "mock-itl2-len10",
    "quick": "mock-len5",
    "failing": "mock-len5-fail2",
}
AT_ONCE_S: Final = 0.5
"""Twice and a half of what is promised: the machine that runs the tests is busy."""

WITHOUT_REDIS_S: Final = 5
RACES: Final = 60
QUEUE: Final = 4
DEAF: Final = {
    "id": "deaf",
    "provider_id": "deaf",
    "provider_model_id": "deaf",
    "deadlines": {"connect": "30s"},
}
pytestmark = pytest.mark.timeout(120)


class Processes(msgspec.Struct, frozen=True, kw_only=True):
    """Two servers on one database; turns are started at `owner`. A word from one to the other takes `word_takes_s`."""

    owner: Client
    other: Client
    upstream: Upstream
    word_takes_s: float


@asynccontextmanager
async def two_processes(
    folder: pytest.TempPathFactory, database: Database, upstream: Upstream, deaf_port: int, redis_url: str | None
) -> AsyncIterator[Processes]:
    """The beat is put off, since it would bring the word as well."""
    env = settings(database, MODELS, upstream, DEAF) | {
        "MINI_CHAT_PROVIDERS__DEAF__KIND": "openai_chat",
        "MINI_CHAT_PROVIDERS__DEAF__BASE_URL": f"http://127.0.0.1:{deaf_port}",
        "MINI_CHAT_PROVIDERS__DEAF__ALLOW_HTTP": "true",
        "MINI_CHAT_PROVIDERS__DEAF__ALLOW_PRIVATE_NETWORK": "true",
        "MINI_CHAT_TURN_LEASE": "90s",
        "MINI_CHAT_TURN_HEARTBEAT": "30s",
        "MINI_CHAT_TURN_BLIND_LIMIT": "90s",
    }
    if redis_url is not None:
        env |= {
            "MINI_CHAT_REDIS_URL": redis_url,
            "MINI_CHAT_REDIS_TIMEOUT": "500ms",
            "MINI_CHAT_CANCEL_POLL_INTERVAL": "4s",
        }
    async with AsyncExitStack() as stack:
        callers = []
        for name in ("owner", "other"):
            server = await stack.enter_async_context(mini_chat(folder.mktemp(name), env=env))
            if redis_url is not None:
                await redis_is(server, "ok")
            callers.append(await stack.enter_async_context(calling(server)))
        takes_s = AT_ONCE_S if redis_url is not None else WITHOUT_REDIS_S
        yield Processes(owner=callers[0], other=callers[1], upstream=upstream, word_takes_s=takes_s)


async def redis_is(server: Server, health: str) -> None:
    async with calling(server) as client:

        async def shows() -> bool:
            readiness = await client.ask("GET", "/readyz")
            assert readiness.status == 200
            return bool(readiness.json()["checks"]["redis"] == health)

        await eventually(shows)


@pytest.fixture(scope="module")
def module_database(postgres_server: PostgresServer) -> Iterator[Database]:
    with postgres_server.database() as database:
        yield database


@pytest.fixture(scope="module")
def deaf_port() -> Iterator[int]:
    """Where a connection is never made: somebody listens, and its queue is full."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(QUEUE):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]


@pytest.fixture(scope="module", params=["database", pytest.param("redis", marks=pytest.mark.redis)])
async def processes(
    request: pytest.FixtureRequest,
    module_database: Database,
    upstream: Upstream,
    deaf_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[Processes]:
    server: RedisServer | None = request.getfixturevalue("redis_server") if request.param == "redis" else None
    url = None if server is None else server.url
    async with two_processes(tmp_path_factory, module_database, upstream, deaf_port, url) as processes:
        yield processes


@pytest.fixture
async def two(processes: Processes, module_database: Database) -> AsyncIterator[Processes]:
    """Afterwards the rows and what was streamed tell one story."""
    processes.owner.streams.clear()
    yield processes
    await audit(module_database.superuser_dsn, processes.owner.streams)


async def cancel(client: Client, chat_id: str, name: str = "latest") -> dict[str, Any]:
    answer = await client.ask("POST", f"chats/{chat_id}/turns/{name}/cancel")
    assert answer.status == 200, answer
    receipt: dict[str, Any] = answer.json()
    assert receipt["credits_charged_micro"] >= 0 <= receipt["credits_released_micro"]
    assert receipt["credits_charged_micro"] + receipt["credits_released_micro"] > 0
    return receipt


def next_call(upstream: Upstream, reply: Reply) -> int:
    """The number of the call that will get this reply."""
    upstream.reply(reply)
    return len(upstream.exchanges)


async def call_of(upstream: Upstream, number: int) -> Exchange:
    """The upstream's view of the call, once it has come."""
    await until(lambda: len(upstream.exchanges) > number)
    return upstream.exchanges[number]


async def told_to_be_cancelled(stream: EventStream) -> None:
    with anyio.fail_after(5):
        terminal = await stream.end()
    assert (terminal.event, terminal.data["code"]) == ("error", "turn_cancelled")
    assert terminal.data["retryable"] is False


async def answer_in(client: Client, chat_id: str) -> tuple[str, str] | None:
    """Status and text of the answer, if one is stored."""
    _, *answers = await client.messages(chat_id)
    return (answers[0]["status"], answers[0]["content"]) if answers else None


@pytest.mark.parametrize("where", ["owner", "other"])
@pytest.mark.parametrize("reply", [sse(Action.HANG), Reply(before_head=[Action.HANG])], ids=["no token", "no head"])
async def test_before_the_first_token_the_provider_is_let_go_and_nothing_is_stored(
    two: Processes, where: str, reply: Reply
) -> None:
    number = next_call(two.upstream, reply)
    chat_id = await two.owner.chat(model="remote")
    async with two.owner.stream(chat_id) as stream:
        call = await call_of(two.upstream, number)
        within_s = AT_ONCE_S if where == "owner" else two.word_takes_s
        asked_at = time.monotonic()
        receipt = await cancel(getattr(two, where), chat_id)
        assert time.monotonic() - asked_at < within_s + AT_ONCE_S
        assert call.closed_at is not None
        assert call.closed_at - asked_at < within_s
        assert receipt["state"] == "cancelled"
        assert 0 <= receipt["upstream_closed_ms"] < AT_ONCE_S * 1000
        await told_to_be_cancelled(stream)
    assert await answer_in(two.other, chat_id) is None


@pytest.mark.parametrize("where", ["owner", "other"])
async def test_in_mid_answer_the_text_so_far_is_kept_as_partial(two: Processes, where: str) -> None:
    number = next_call(two.upstream, sse(text("Once "), text("upon "), Action.HANG))
    chat_id = await two.owner.chat(model="remote")
    async with two.owner.stream(chat_id) as stream:
        await stream.first("delta", 2)
        receipt = await cancel(getattr(two, where), chat_id, stream.frames[0].data["request_id"])
        await told_to_be_cancelled(stream)
    assert (await call_of(two.upstream, number)).closed_at is not None
    assert receipt["state"] == "cancelled"
    assert receipt["tokens_generated"] > 0
    assert await answer_in(two.owner, chat_id) == ("partial", "Once upon ")


@pytest.mark.parametrize("where", ["owner", "other"])
async def test_while_the_provider_is_being_connected_to_there_is_no_connection_to_close(
    two: Processes, where: str
) -> None:
    chat_id = await two.owner.chat(model="deaf")
    async with two.owner.stream(chat_id) as stream:
        await stream.first("stream_started")
        receipt = await cancel(getattr(two, where), chat_id)
        await told_to_be_cancelled(stream)
    assert (receipt["state"], receipt["upstream_closed_ms"], receipt["tokens_generated"]) == ("cancelled", None, 0)


async def test_while_a_tool_is_used(two: Processes) -> None:
    chat_id = await two.owner.chat(model="tooling")
    async with two.owner.stream(chat_id) as stream:
        await stream.first("tool")
        assert (await cancel(two.owner, chat_id))["state"] == "cancelled"
        await told_to_be_cancelled(stream)


async def test_a_turn_nobody_reads_is_cancelled_too(two: Processes) -> None:
    chat_id = await two.owner.chat(model="endless")
    async with two.owner.stream(chat_id, on_disconnect="continue") as stream:
        await stream.first("delta")
    receipt = await cancel(two.owner, chat_id)
    assert receipt["state"] == "cancelled"
    assert receipt["upstream_closed_ms"] is not None


async def test_a_unary_send_is_told_that_its_turn_was_cancelled(two: Processes) -> None:
    chat_id = await two.owner.chat(model="silent")
    answers = []

    async def send() -> None:
        answers.append(await two.owner.ask("POST", f"chats/{chat_id}/messages", {"content": "Hello"}))

    async def is_running() -> bool:
        return (await two.owner.ask("GET", f"chats/{chat_id}/turns/latest")).status == 200

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send)
        await eventually(is_running)
        await cancel(two.owner, chat_id)
    assert [(answer.status, answer.json()["code"]) for answer in answers] == [(409, "turn_cancelled")]


async def test_to_cancel_twice_is_to_cancel_once(two: Processes) -> None:
    chat_id = await two.owner.chat(model="endless")
    async with two.owner.stream(chat_id) as stream:
        await stream.first("delta", 2)
        first = await cancel(two.owner, chat_id)
        second = await cancel(two.other, chat_id)
        await told_to_be_cancelled(stream)
    assert second == {**first, "upstream_closed_ms": None}
    status = await two.owner.ask("GET", f"chats/{chat_id}/turns/latest")
    assert status.json()["state"] == "cancelled"


@pytest.mark.parametrize(("model", "state"), [("quick", "done"), ("failing", "error")])
async def test_a_turn_that_has_ended_says_how(two: Processes, model: str, state: str) -> None:
    chat_id = await two.owner.chat(model=model)
    stream = await two.owner.told(chat_id)
    before = await two.owner.messages(chat_id)
    for client in (two.owner, two.other):
        receipt = await cancel(client, chat_id, stream.frames[0].data["request_id"])
        assert (receipt["state"], receipt["upstream_closed_ms"]) == (state, None)
        assert receipt["tokens_generated"] > 0
    assert await two.owner.messages(chat_id) == before


async def test_the_body_is_ignored_and_the_address_is_not(two: Processes) -> None:
    chat_id = await two.owner.chat(model="quick")
    nothing_yet = await two.owner.ask("POST", f"chats/{chat_id}/turns/latest/cancel")
    assert (nothing_yet.status, nothing_yet.json()["code"]) == (404, "turn_not_found")
    await two.owner.told(chat_id)
    answer = await two.owner.ask("POST", f"chats/{chat_id}/turns/latest/cancel", ["what", "ever"])
    assert answer.status == 200
    for path, status, code in (
        (f"chats/{chat_id}/turns/{uuid4()}/cancel", 404, "turn_not_found"),
        (f"chats/{uuid4()}/turns/latest/cancel", 404, "chat_not_found"),
        (f"chats/{chat_id}/turns/newest/cancel", 400, "invalid_request"),
    ):
        refused = await two.owner.ask("POST", path)
        assert (refused.status, refused.json()["code"]) == (status, code)
    assert (await two.owner.ask("DELETE", f"chats/{chat_id}")).status == 204
    deleted = await two.owner.ask("POST", f"chats/{chat_id}/turns/latest/cancel")
    assert (deleted.status, deleted.json()["code"]) == (404, "chat_not_found")


@pytest.mark.parametrize("where", ["owner", "other"])
async def test_cancels_at_random_moments_around_the_end_agree_with_the_stream(two: Processes, where: str) -> None:
    chance, winners = seeded("the moments of the cancels"), set[str]()

    async def race(delay_s: float) -> None:
        chat_id = await two.owner.chat(model="racing")
        receipts = []

        async def interfere() -> None:
            await anyio.sleep(delay_s)
            receipts.append(await cancel(getattr(two, where), chat_id))

        async with two.owner.stream(chat_id) as stream, anyio.create_task_group() as tasks:
            tasks.start_soon(interfere)
            terminal = await stream.end()
        assert receipts[0]["state"] == ("done" if terminal.event == "done" else "cancelled")
        if terminal.event == "done":
            assert receipts[0]["tokens_generated"] == terminal.data["usage"]["output_tokens"]
        winners.add(receipts[0]["state"])

    for _ in range(RACES // 10):
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(race, chance.uniform(0, 0.1))
    assert "done" in winners
    assert "cancelled" in winners or (where == "other" and two.word_takes_s == WITHOUT_REDIS_S)

"""What no client should send, over real sockets: a problem document or a closed connection, never a 500."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import suppress

import anyio
import msgspec
import pytest

from tests.harness.client import API, Client, raw_exchange
from tests.harness.eventually import eventually, until
from tests.harness.postgres import Database
from tests.harness.processes import Server
from tests.harness.service import Service, serving, settings

CANARY = "CNRY-nobody-may-log-this"
SEND = f"POST {API}/chats:stream HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n".encode()
HEAD_TIMEOUT_S = 0.5
BODY_TIMEOUT_S = 0.2


@pytest.fixture(scope="module")
async def service(shared_database: Database, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Service]:
    """Watched to its end: it lives through everything, and its log is clean."""
    env = settings(shared_database, {"slow": "mock-itl20-len100000", "echo": "mock-echo", "silent": "mock-hang0"}) | {
        "MINI_CHAT_HTTP_HEAD_TIMEOUT": f"{int(HEAD_TIMEOUT_S * 1000)}ms",
        "MINI_CHAT_HTTP_BODY_IDLE_TIMEOUT": f"{int(BODY_TIMEOUT_S * 1000)}ms",
        "MINI_CHAT_HTTP_MAX_BODY_BYTES": str(1024 * 1024),
        "MINI_CHAT_LOGGING_LEVEL": "debug",
    }
    async with serving(tmp_path_factory.mktemp("hostile"), shared_database, env) as service:
        yield service
        service.server.must_run()
    judge_log(service.server.output())


def judge_log(output: str) -> None:
    assert CANARY not in output
    lines = [line for line in output.splitlines() if line and not line.startswith("  ")]
    logged = [msgspec.json.decode(line) for line in lines]
    exchanges = [line for line in logged if line["event"] == "http exchange"]
    assert exchanges
    assert all(re.fullmatch("[0-9a-f]{32}", line["trace_id"]) and line["request_id"] for line in exchanges)
    assert [line for line in logged if line["level"] == "error"] == []


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with service.caller() as client:
        yield client


def problem_in(said: bytes) -> tuple[int, str]:
    """Status and code of the one answer in these bytes."""
    head, _, body = said.partition(b"\r\n\r\n")
    status_line, *headers = head.decode().lower().split("\r\n")
    assert "content-type: application/problem+json" in headers, said
    assert any(header.startswith("x-request-id: ") for header in headers)
    return int(status_line.split(" ")[1]), json.loads(body)["code"]


def with_body(body: bytes, *headers: str) -> bytes:
    lines = "".join(f"{header}\r\n" for header in (*headers, "Connection: close"))
    return SEND + f"{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


BODIES = {
    "no JSON": b'{"content": ',
    "no UTF-8": b'{"content": "\xff\xfe"}',
    "a NUL": b'{"content": "a\\u0000b"}',
    "a lone surrogate": b'{"content": "\\ud800"}',
    "a tower": b'{"content": "x", "metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a list": b"[]",
    "nothing": b"",
    "a number": b'{"content": 1}',
    "a canary of the wrong type": f'{{"content": ["{CANARY}"]}}'.encode(),
    "a blank": b'{"content": "  "}',
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
async def test_a_body_that_is_no_message_is_an_invalid_request(service: Service, body: bytes) -> None:
    assert problem_in(await raw_exchange(service.server, with_body(body))) == (400, "invalid_request")


async def test_a_declared_body_beyond_the_limit_is_refused_unread(service: Service) -> None:
    head = SEND + b"Connection: close\r\nContent-Length: 999999999\r\n\r\n"
    assert problem_in(await raw_exchange(service.server, head)) == (413, "body_too_large")


async def test_a_chunked_body_is_refused_where_it_passes_the_limit(service: Service) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    head = SEND + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert problem_in(await raw_exchange(service.server, head, *[chunk] * 17)) == (413, "body_too_large")


async def test_a_body_that_stops_arriving_is_told_so(service: Service) -> None:
    said = await raw_exchange(service.server, SEND + b'Content-Length: 20\r\n\r\n{"conte')
    assert problem_in(said) == (408, "request_timeout")


async def closed_after_s(server: Server, *pieces: bytes) -> float:
    started = anyio.current_time()
    with anyio.fail_after(5):
        assert await raw_exchange(server, *pieces) == b""
    return anyio.current_time() - started


@pytest.mark.parametrize("begun", [b"", b"GET /livez HT", b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: b"])
async def test_a_head_that_is_not_finished_in_time_closes_the_connection(service: Service, begun: bytes) -> None:
    pieces = (begun,) if begun else ()
    assert HEAD_TIMEOUT_S - 0.05 < await closed_after_s(service.server, *pieces) < HEAD_TIMEOUT_S + 1


async def test_nor_may_the_second_head_of_a_connection_trickle(service: Service) -> None:
    started = anyio.current_time()
    with anyio.fail_after(5):
        said = await raw_exchange(service.server, b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n", b"GET /li")
    assert said.count(b"HTTP/1.1 200 OK") == 1
    assert anyio.current_time() - started < HEAD_TIMEOUT_S + 1


WIRES = {
    "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 20 + b"\r\n\r\n",
    "a broken header": b"GET /livez HTTP/1.1\r\nHost localhost\r\n\r\n",
    "two lengths": SEND + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length and chunks": SEND + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a negative length": SEND + b"Content-Length: -1\r\n\r\n",
    "a chunk that is none": SEND + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
}
ENDLESS_HEADS = {
    "a header": b"GET /livez HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 8_000_000,
    "headers": b"GET /livez HTTP/1.1\r\nHost: localhost\r\n" + b"a: b\r\n" * 1_500_000,
    "an address": b"GET /" + b"a" * 8_000_000,
}


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES.keys())
async def test_what_is_no_request_is_answered_in_the_same_form(service: Service, wire: bytes) -> None:
    with anyio.fail_after(5):
        assert problem_in(await raw_exchange(service.server, wire)) == (400, "invalid_request")


@pytest.mark.parametrize("head", ENDLESS_HEADS.values(), ids=ENDLESS_HEADS.keys())
async def test_a_head_without_end_is_cut_off_before_its_time_is_up(service: Service, head: bytes) -> None:
    """The answer is lost where the client had more to say than the kernel would take."""
    started = anyio.current_time()
    said = await raw_exchange(service.server, head)
    assert anyio.current_time() - started < HEAD_TIMEOUT_S
    assert not said or problem_in(said) == (400, "invalid_request")


async def test_garbage_behind_a_request_never_gets_into_its_answer(client: Client, service: Service) -> None:
    send = SEND + b'Content-Length: 19\r\n\r\n{"content":"Hello"}'
    async with await anyio.connect_tcp("127.0.0.1", service.server.port) as connection:
        await connection.send(send)
        said = b""
        while b"event: delta" not in said:
            said += await connection.receive()
        await connection.send(b"garbage\r\n\r\n")
        with anyio.fail_after(5):
            try:
                while True:
                    said += await connection.receive()
            except (anyio.EndOfStream, anyio.BrokenResourceError):
                pass
    assert said.count(b"HTTP/1.1") == 1


ADDRESSES = [
    ("GET", f"{API}/nothing", 404, "not_found"),
    ("GET", "/", 404, "not_found"),
    ("GET", f"{API}/chats/", 404, "not_found"),
    ("GET", f"{API}//chats", 404, "not_found"),
    ("GET", f"{API}/chats/%ff", 400, "invalid_request"),
    ("GET", f"{API}/chats/../../etc/passwd", 404, "not_found"),
    ("GET", f"{API}/chats/{CANARY}", 400, "invalid_request"),
    ("PUT", f"{API}/chats", 405, "method_not_allowed"),
    ("OPTIONS", f"{API}/chats", 405, "method_not_allowed"),
    ("TRACE", "/livez", 405, "method_not_allowed"),
    ("GET", f"{API}/chats?cursor=%00", 400, "invalid_request"),
    ("GET", f"{API}/chats?cursor=%ff", 400, "invalid_request"),
    ("GET", f"{API}/chats?limit={'9' * 5000}", 400, "invalid_request"),
    ("GET", f"{API}/chats?limit=0", 422, "invalid_limit"),
]


@pytest.mark.parametrize(("method", "target", "status", "code"), ADDRESSES)
async def test_a_wrong_address_is_told_by_its_kind(
    service: Service, method: str, target: str, status: int, code: str
) -> None:
    request = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode()
    assert problem_in(await raw_exchange(service.server, request)) == (status, code)


async def test_prompts_answers_and_titles_are_in_no_log_line(client: Client, service: Service) -> None:
    chat_id = await client.chat(model="echo", title=CANARY)
    stream = await client.told(chat_id, CANARY, metadata={"note": CANARY})
    assert stream.text == CANARY
    assert (await client.ask("GET", f"chats/{chat_id}?q={CANARY}")).json()["title"] == CANARY
    await client.ask("GET", f"/{CANARY}", headers={"Authorization": f"Bearer {CANARY}"})
    mark = "the-last-request"
    await client.ask("GET", "chats", headers={"X-Request-Id": mark})
    await until(lambda: mark in service.server.output())
    assert CANARY not in service.server.output()


AND_ANOTHER = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n"


@pytest.mark.parametrize("route", ["messages:stream", "messages"])
@pytest.mark.parametrize("at_once", [True, False], ids=["in one piece", "a moment later"])
async def test_a_client_that_asked_for_more_is_heard_to_leave_all_the_same(
    client: Client, service: Service, route: str, at_once: bool
) -> None:
    """The server reads on behind an unfinished answer: how else would it learn that nobody waits for it."""
    chat_id = await client.chat(model="silent")
    body = b'{"content":"hello"}'
    first = (
        f"POST {API}/chats/{chat_id}/{route} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    ).encode() + body

    async def state() -> str | None:
        answer = await client.ask("GET", f"chats/{chat_id}/turns/latest")
        return answer.json()["state"] if answer.status == 200 else None

    async def runs() -> bool:
        return await state() == "running"

    async def was_cancelled() -> bool:
        return await state() == "cancelled"

    connection = await anyio.connect_tcp("127.0.0.1", service.server.port)
    async with connection:
        await connection.send(first + (AND_ANOTHER if at_once else b""))
        await eventually(runs)
        if not at_once:
            await connection.send(AND_ANOTHER)
    await eventually(was_cancelled)


async def test_garbage_behind_two_requests_never_gets_into_an_answer_either(client: Client, service: Service) -> None:
    chat_id = await client.chat(model="slow")
    body = b'{"content":"hello"}'
    head = (
        f"POST {API}/chats/{chat_id}/messages:stream HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    said = b""
    async with await anyio.connect_tcp("127.0.0.1", service.server.port) as connection:
        await connection.send(head + body)
        while said.count(b"event: delta") < 3:
            said += await connection.receive()
        await connection.send(AND_ANOTHER + b"GARBAGE\r\n\r\n")
        with anyio.fail_after(5), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                said += await connection.receive()
    assert said.count(b"HTTP/1.1") == 1

"""What nobody should send, sent to every route that exists: a problem document with the right 4xx, never a 500."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import anyio
import msgspec
import pytest
from litestar.routes import HTTPRoute
from litestar.types import ASGIApp

from api.rest.endpoint import declared_by
from api.rest.openapi_examples import REQUESTS
from tests.harness.assembled import MAX_BODY_BYTES, admin_token, assembled_app, assembled_framework
from tests.harness.bridge import Answer, Body, request

JSON = {"Content-Type": "application/json"}
UNDERSTOOD = {404, 503}
"""What the routes answer to a good request, here where no database can be reached and no model has such an id."""

SOME_ID = "0198c0de-79f0-7a01-9d00-1b2c3d4e5f60"
BAD_IDS = [
    "x",
    "%00",
    "%ff",
    "%20",
    "..%2f..",
    "%2e%2e",
    "latest",
    "1",
    "%F0%9F%98%80",
    "null",
    "x" * 5000,
    f"{SOME_ID}0",
]
BAD_QUERIES = [
    "%00",
    "%ff",
    "a=%00",
    "limit=%ff",
    "%",
    "&&==",
    "limit[]=1",
    "x=" + "y" * 50_000,
    "a&" * 5000,
    "\xff\xfe",
]
BAD_HEADERS: list[dict[str, str | bytes]] = [
    {"X-Request-Id": b"\xff\x00"},
    {"traceparent": "00-" + "f" * 10_000},
    {"Authorization": "Bearer " + "." * 10_000},
    {"Authorization": b"Bearer \xff\xfe"},
    {"Accept": b"\xff/\xff;q=x"},
    {"Content-Length": "-1"},
    {"Content-Length": "9" * 100},
    {"Content-Length": b"\xb2"},
    {"Content-Type": b"\xff"},
    {"Host": b"\xff"},
    {"Host": "a b"},
    {"Cookie": b"\xff=\xff; =;;"},
    {"Idempotency-Key": b"\xff"},
    {"Idempotency-Key": "x" * 5000},
]
BAD_BODIES = {
    "empty": b"",
    "blank": b"  ",
    "not JSON": b"hello",
    "cut off": b'{"content":"hi',
    "two values": b"{}{}",
    "null": b"null",
    "array": b"[]",
    "number": b"1",
    "text": b'"text"',
    "NaN": b'{"content":NaN}',
    "BOM": b'\xef\xbb\xbf{"content":"hi"}',
    "UTF-16": '{"content":"hi"}'.encode("utf-16"),
    "invalid UTF-8": b'{"content":"\xff","title":"\xff"}',
    "overlong UTF-8": b'{"content":"\xc0\x80"}',
    "invalid UTF-8 in a member nobody knows": b'{"content":"hi","title":"t","zz":"\xff"}',
    "NUL": b'{"content":"\x00","title":"\x00"}',
    "escaped NUL": b'{"content":"\\u0000","title":"\\u0000"}',
    "escaped NUL in a name": b'{"content":"hi","title":"t","\\u0000":1}',
    "NUL after the end": b'{"content":"hi","title":"t"}\x00',
    "lone surrogate": b'{"content":"\\ud800","title":"\\ud800"}',
    "lone surrogate in a member nobody knows": b'{"content":"hi","title":"t","zz":"\\udfff"}',
    "33 levels": b'{"content":"hi","title":"t","zz":' + b"[" * 32 + b"]" * 32 + b"}",
    "deep": b'{"content":"hi","title":"t","zz":' + b'{"a":' * 10_000 + b"1" + b"}" * 10_000 + b"}",
    "deep and open": b"[" * MAX_BODY_BYTES,
    "wrong types": b'{"content":1,"title":1,"model":[],"metadata":7,"web_search":1,"dry_run":"yes"}',
    "nulls": b'{"content":null,"model":null,"title":null,"metadata":null,"request_id":null,"dry_run":null}',
    "huge number": b'{"content":%b,"title":%b,"on_disconnect":%b,"dry_run":%b}' % ((b"9" * 15_000,) * 4),
    "huge exponent": b'{"content":1e999999999,"title":1e999999999,"on_disconnect":1e999999999,"dry_run":1e999999999}',
}


class Case(msgspec.Struct, frozen=True):
    """`body` is one that the route takes; `credential` lets in whoever may do everything."""

    method: str
    path: str
    takes_body: bool
    needs_body: bool = False
    body: bytes = b""
    credential: str = ""

    def target(self, parameter: str = SOME_ID) -> str:
        return re.sub(r"\{\w+\}", lambda _: parameter, self.path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def app(folder: Path) -> ASGIApp:
    return assembled_app(folder)


@pytest.fixture(scope="module")
def cases(folder: Path) -> list[Case]:
    return list(_cases(folder))


def _cases(folder: Path) -> Iterator[Case]:
    token = admin_token(folder)
    for route in assembled_framework(folder).routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS"}:
                body = handler.parsed_data_field
                needed = body is not None and body.is_required
                yield Case(
                    str(method),
                    route.path_format,
                    takes_body=body is not None,
                    needs_body=needed,
                    body=msgspec.json.encode(REQUESTS[str(handler.operation_id)]) if body is not None else b"",
                    credential=f"Bearer {token}" if "/admin/" in route.path_format else "",
                )


async def ask(
    app: ASGIApp, case: Case, target: str, body: Body = b"", headers: dict[str, str | bytes] | None = None
) -> Answer:
    credential = {"Authorization": case.credential} if case.credential else {}
    with anyio.fail_after(5):
        return await request(app, case.method, target, {**JSON, **credential, **(headers or {})}, body)


def assert_refused(answer: Answer, statuses: set[int], what: object) -> None:
    assert answer.status in statuses, (what, answer.status, answer.body[:300])
    assert answer.header("Content-Type") == "application/problem+json", what
    document = answer.json()
    assert list(document)[:7] == ["type", "title", "status", "detail", "instance", "code", "trace_id"], what
    assert (document["title"], document["status"]) == (document["code"], answer.status), what


def assert_never_a_fault_of_ours(answer: Answer, what: object) -> None:
    """503 is the unreachable database: the input passed as harmless."""
    assert answer.status in {200, 503} or 400 <= answer.status < 500 or answer.status == 501, (what, answer.body[:300])


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_bad_body_is_refused_by_every_route_that_reads_one(app: ASGIApp, cases: list[Case], name: str) -> None:
    reading = [case for case in cases if (case.takes_body if BAD_BODIES[name] else case.needs_body)]
    assert len(reading) >= 6
    for case in reading:
        answer = await ask(app, case, case.target(), BAD_BODIES[name])
        assert_refused(answer, {400}, (case, name))
        assert answer.json()["code"] == "invalid_request"
        assert answer.json()["errors"], (case, name)


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/jsonx"},
        {"Content-Type": b"\xff"},
        {"Content-Encoding": "gzip"},
        {"Content-Encoding": "identity, gzip"},
    ],
)
async def test_a_body_of_another_kind_is_refused(
    app: ASGIApp, cases: list[Case], headers: dict[str, str | bytes]
) -> None:
    for case in cases:
        if case.takes_body:
            answer = await ask(app, case, case.target(), case.body, headers)
            assert_refused(answer, {415}, (case, headers))


@pytest.mark.parametrize(
    "content_type", ["application/json", "APPLICATION/JSON; charset=UTF-8", 'application/json;charset="utf-8"']
)
async def test_json_is_json_however_it_is_written(app: ASGIApp, cases: list[Case], content_type: str) -> None:
    for case in cases:
        if case.takes_body:
            answer = await ask(app, case, case.target(), case.body, {"Content-Type": content_type})
            assert answer.status in UNDERSTOOD, (case, answer.body)


async def test_a_body_that_announces_too_much_is_refused_unread(app: ASGIApp, cases: list[Case]) -> None:
    async def watched() -> AsyncIterator[bytes]:
        reads.append("read")
        yield b""

    reads: list[str] = []
    for case in cases:
        if case.path.startswith("/mini-chat/v1/"):
            answer = await ask(app, case, case.target(), watched(), {"Content-Length": str(MAX_BODY_BYTES + 1)})
            assert_refused(answer, {413}, case)
    assert reads == []


async def test_a_body_that_grows_too_large_is_read_no_further(app: ASGIApp, cases: list[Case]) -> None:
    for case in cases:
        if case.takes_body:
            sent = 0

            async def endless() -> AsyncIterator[bytes]:
                nonlocal sent
                while True:
                    sent += 1024
                    yield b" " * 1024

            assert_refused(await ask(app, case, case.target(), endless()), {413}, case)
            assert sent <= MAX_BODY_BYTES + 2048


async def test_a_body_that_stalls_is_given_up(folder: Path, cases: list[Case]) -> None:
    app = assembled_app(folder, body_idle_timeout=timedelta(milliseconds=20))

    async def stalling() -> AsyncIterator[bytes]:
        yield b'{"content":'
        await anyio.sleep_forever()

    for case in cases:
        if case.takes_body:
            answer = await ask(app, case, case.target(), stalling())
            assert_refused(answer, {408}, case)
            assert answer.header("Connection") == "close"


async def test_a_body_in_single_bytes_is_a_body(app: ASGIApp, cases: list[Case]) -> None:
    async def trickled(body: bytes) -> AsyncIterator[bytes]:
        for byte in body:
            yield bytes([byte])

    for case in cases:
        if case.takes_body:
            assert (await ask(app, case, case.target(), trickled(case.body))).status in UNDERSTOOD


@pytest.mark.parametrize("bad_id", BAD_IDS, ids=lambda text: text[:12])
async def test_a_bad_id_in_the_path_is_refused(app: ASGIApp, cases: list[Case], bad_id: str) -> None:
    for case in cases:
        is_good = "{job_id}" in case.path and bad_id == "1"
        if "{" in case.path and not is_good:
            answer = await ask(app, case, case.target(bad_id), case.body)
            assert_refused(answer, {400, 404, 405}, (case, bad_id))
            if "{chat_id}" in case.path and answer.status == 400:
                fault = answer.json()["errors"][0]
                assert (fault["field"], fault["code"]) == ("chat_id", "invalid_uuid")


@pytest.mark.parametrize("query", BAD_QUERIES, ids=lambda text: text[:12])
async def test_no_query_makes_a_route_fail(app: ASGIApp, cases: list[Case], query: str) -> None:
    for case in cases:
        answer = await ask(app, case, f"{case.target()}?{query}")
        assert_never_a_fault_of_ours(answer, (case, query[:20]))


@pytest.mark.parametrize("headers", BAD_HEADERS, ids=lambda headers: next(iter(headers)))
async def test_no_header_makes_a_route_fail(app: ASGIApp, cases: list[Case], headers: dict[str, str | bytes]) -> None:
    for case in cases:
        answer = await ask(app, case, case.target(), b"", headers)
        assert_never_a_fault_of_ours(answer, (case, headers))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "TRACE", "CONNECT", "PUT", "BREW", "get"])
async def test_no_method_makes_a_route_fail(app: ASGIApp, cases: list[Case], method: str) -> None:
    declaring = {case.path for case in cases if case.method == method}
    for case in cases:
        if case.path in declaring:
            continue
        answer = await ask(app, Case(method, case.path, takes_body=False), case.target())
        assert_refused(answer, {405}, (case, method))
        assert case.method in (answer.header("Allow") or "")


@pytest.mark.parametrize(
    "change",
    [lambda path: f"{path}/", lambda path: f"/{path}", lambda path: f"{path}/.", lambda path: path.upper()],
    ids=["slash", "double slash", "dot", "capitals"],
)
async def test_an_address_that_is_nearly_one_is_none(
    app: ASGIApp, cases: list[Case], change: Callable[[str], str]
) -> None:
    for case in cases:
        answer = await ask(app, case, change(case.target()))
        assert_refused(answer, {400, 404, 405}, case)


async def test_the_list_of_routes_is_not_empty(cases: list[Case]) -> None:
    assert len(cases) >= 15


def test_every_route_under_v1_is_among_the_cases(folder: Path, cases: list[Case]) -> None:
    declared = [
        handler
        for route in assembled_framework(folder).routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if declared_by(handler) is not None
    ]
    assert sum(case.path.startswith("/mini-chat/v1/") for case in cases) == len(declared)

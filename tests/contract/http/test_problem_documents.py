from collections.abc import Mapping

import msgspec
import pytest
from litestar import Controller, get
from structlog.testing import capture_logs

from api.rest.endpoint import endpoint
from domain.auth.policy import Action
from tests.contract.http.world import CHATS, TRACE_ID, World, create_world

MISSING = f"{CHATS}/0198c0de-79f0-7a01-9d00-1b2c3d4e5f60"


class BrokenController(Controller):
    path = "/broken"

    @get("", status_code=200, opt=endpoint(Action.READ_CHAT))
    async def broken(self) -> None:
        raise RuntimeError("password=hunter2 at 10.0.0.7")


class BusyController(Controller):
    path = "/busy"

    @get("", status_code=200, opt=endpoint(Action.READ_CHAT, starts_work=True))
    async def busy(self) -> None:
        return None


@pytest.fixture
def world() -> World:
    return create_world(further=[BrokenController, BusyController])


def document(code: str, status: int, detail: str, instance: str, more: str = "") -> bytes:
    """Every byte, in the order of api.md 1.6."""
    return (
        f'{{"type":"/problems/{code}","title":"{code}","status":{status},"detail":"{detail}",'
        f'"instance":"{instance}","code":"{code}","trace_id":"{TRACE_ID}"{more}}}'
    ).encode()


@pytest.mark.parametrize(
    ("method", "target", "who", "status", "code", "detail"),
    [
        ("GET", "/nowhere", "ann", 404, "not_found", "There is nothing at this address."),
        ("GET", "/mini-chat/v1/chats/", "ann", 404, "not_found", "There is nothing at this address."),
        ("GET", "/mini-chat//v1/chats", "ann", 404, "not_found", "There is nothing at this address."),
        ("GET", "/problems/unheard_of", None, 404, "not_found", "There is nothing at this address."),
        ("PUT", CHATS, None, 405, "method_not_allowed", "This address does not know this method."),
        ("OPTIONS", CHATS, None, 405, "method_not_allowed", "This address does not know this method."),
        ("HEAD", "/livez", None, 405, "method_not_allowed", "This address does not know this method."),
        ("GET", CHATS, None, 401, "unauthorized", "A valid credential is required."),
        ("GET", CHATS, "stranger", 401, "unauthorized", "A valid credential is required."),
        ("GET", CHATS, "nobody", 403, "forbidden", "You may not do this."),
        ("POST", CHATS, "viewer", 403, "forbidden", "You may not do this."),
        ("GET", MISSING, "ann", 404, "chat_not_found", "There is no such chat."),
        ("DELETE", MISSING, "ann", 404, "chat_not_found", "There is no such chat."),
        ("GET", f"{MISSING}/messages", "ann", 404, "chat_not_found", "There is no such chat."),
        ("GET", "/mini-chat/v1/models/gone", "ann", 404, "model_not_found", "There is no such model."),
        ("GET", "/mini-chat/v1/broken", "ann", 500, "internal_error", "Something went wrong on our side."),
    ],
)
async def test_a_refusal_is_this_document_to_the_byte(
    world: World, method: str, target: str, who: str | None, status: int, code: str, detail: str
) -> None:
    answer = await world.call(method, target, who=who)
    assert answer.body == document(code, status, detail, target)
    assert answer.status == status
    assert answer.header("Content-Type") == "application/problem+json"
    assert answer.header("Content-Length") == str(len(answer.body))


async def test_faults_stand_after_the_fixed_members(world: World) -> None:
    answer = await world.call("POST", CHATS, body=b'{"title":"  "}')
    faults = ',"errors":[{"field":"title","message":"This must not be blank.","code":"blank"}]'
    assert answer.body == document("invalid_request", 400, "The request is not valid.", CHATS, faults)


async def test_a_missing_licence_is_named(world: World) -> None:
    answer = await world.call("GET", CHATS, who="unlicensed")
    sentence = "Your licence does not include this feature."
    assert answer.body == document("feature_not_licensed", 403, sentence, CHATS, ',"feature":"ai_chat"')


async def test_an_oversized_body_is_told_the_limit(world: World) -> None:
    answer = await world.call("POST", CHATS, body=b" " * (64 * 1024 + 1))
    assert answer.body == document("body_too_large", 413, "The request body is too large.", CHATS, ',"max_bytes":65536')


@pytest.mark.parametrize(
    ("headers", "challenge"),
    [
        ({}, "Bearer"),
        ({"Authorization": "Bearer stranger"}, 'Bearer error="invalid_token"'),
        ({"Authorization": "Basic YW5uOg=="}, 'Bearer error="invalid_token"'),
        ({"Authorization": "Bearer"}, 'Bearer error="invalid_token"'),
        ({"Authorization": "ann"}, 'Bearer error="invalid_token"'),
        ({"Authorization": b"Bearer \xff"}, 'Bearer error="invalid_token"'),
        ({"Cookie": "Authorization=Bearer ann"}, "Bearer"),
    ],
)
async def test_the_challenge_tells_whether_a_credential_was_seen(
    world: World, headers: dict[str, str | bytes], challenge: str
) -> None:
    answer = await world.call("GET", CHATS, who=None, headers=headers)
    assert (answer.status, answer.header("WWW-Authenticate")) == (401, challenge)


async def test_the_scheme_is_read_in_any_case(world: World) -> None:
    answer = await world.call("GET", CHATS, who=None, headers={"Authorization": "bEARER  ann "})
    assert answer.status == 200


async def test_a_wrong_method_is_told_the_right_ones_and_no_others(world: World) -> None:
    for method in ("PUT", "OPTIONS"):
        assert (await world.call(method, CHATS)).header("Allow") == "GET, POST"
        assert (await world.call(method, MISSING)).header("Allow") == "DELETE, GET, PATCH"


async def test_nothing_of_an_unforeseen_error_reaches_the_client_and_one_line_reaches_the_log(world: World) -> None:
    with capture_logs() as lines:
        answer = await world.call("GET", "/mini-chat/v1/broken")
    assert b"hunter2" not in answer.body
    assert [line["error_type"] for line in lines if line["log_level"] == "error"] == ["RuntimeError"]


async def test_a_draining_process_refuses_new_work_and_nothing_else(world: World) -> None:
    world.drain.draining = True
    refusal = await world.call("GET", "/mini-chat/v1/busy", who=None)
    sentence = "The server is shutting down; send the request again."
    assert refusal.body == document(
        "service_unavailable", 503, sentence, "/mini-chat/v1/busy", ',"retry_after_ms":1000'
    )
    assert refusal.header("Retry-After") == "1"
    assert refusal.header("Connection") == "close"
    assert (await world.call("GET", CHATS)).status == 200
    readiness = await world.call("GET", "/readyz", who=None)
    assert (readiness.status, readiness.json()) == (503, {"status": "draining", "checks": {}})


async def test_a_foreign_chat_and_a_missing_one_look_alike(world: World) -> None:
    chat = await world.new_chat(who="ann")
    for who in ("bob", "eve"):
        for method, tail, body in (
            ("GET", "", b""),
            ("PATCH", "", b'{"title":"mine now"}'),
            ("DELETE", "", b""),
            ("GET", "/messages", b""),
        ):
            foreign = await world.call(method, f"{CHATS}/{chat['id']}{tail}", who=who, body=body)
            missing = await world.call(method, f"{MISSING}{tail}", who=who, body=body)
            assert foreign.body.replace(chat["id"].encode(), MISSING[-36:].encode()) == missing.body
            assert foreign.status == missing.status == 404
            ignored = {"x-request-id"}
            assert [pair for pair in foreign.headers if pair[0] not in ignored] == [
                pair for pair in missing.headers if pair[0] not in ignored
            ]
    assert (await world.call("GET", f"{CHATS}/{chat['id']}")).json()["id"] == chat["id"]


async def test_an_invalid_trace_parent_starts_a_new_trace(world: World) -> None:
    traces = set()
    for parent in ("garbage", "00-" + "0" * 32 + "-00f067aa0ba902b7-01", ""):
        answer = await world.call("GET", "/nowhere", headers={"traceparent": parent})
        traces.add(msgspec.json.decode(answer.body)["trace_id"])
    assert len(traces) == 3
    assert TRACE_ID not in traces


async def test_checks_run_in_the_documented_order(world: World) -> None:
    """Each call has every fault that is still left; curing the one told uncovers the next."""
    too_large, not_json = {"Content-Length": "99999999"}, {"Content-Type": "text/plain"}
    everything = {**too_large, **not_json}

    async def told(method: str, target: str, who: str | None, headers: Mapping[str, str]) -> str:
        code: str = (await world.call(method, target, who=who, headers=headers, body=b"x")).json()["code"]
        return code

    assert await told("PUT", f"{CHATS}/x", None, everything) == "method_not_allowed"
    assert await told("PATCH", f"{CHATS}/x", None, everything) == "unauthorized"
    assert await told("PATCH", f"{CHATS}/x", "viewer", everything) == "forbidden"
    assert await told("PATCH", f"{CHATS}/x", "ann", everything) == "body_too_large"
    assert await told("PATCH", f"{CHATS}/x", "ann", not_json) == "invalid_request"
    assert await told("PATCH", MISSING, "ann", not_json) == "unsupported_content_type"
    assert await told("PATCH", MISSING, "ann", {}) == "invalid_request"


async def test_draining_is_told_before_a_missing_credential_and_after_a_wrong_method(world: World) -> None:
    world.drain.draining = True
    assert (await world.call("GET", "/mini-chat/v1/busy", who=None)).status == 503
    assert (await world.call("PUT", "/mini-chat/v1/busy", who=None)).status == 405

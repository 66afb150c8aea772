"""What every answer carries, whoever made it."""

import re

import pytest
from structlog.testing import capture_logs

from tests.contract.http.world import CHATS, create_world

UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
ADDRESSES = [CHATS, "/nowhere", "/mini-chat/v1/chats/", "/livez", "/readyz", "/docs", "/openapi.json", "/problems"]


@pytest.mark.parametrize("target", ADDRESSES)
async def test_common_headers_stand_on_every_answer_once(target: str) -> None:
    answer = await create_world().call("GET", target, headers={"X-Request-Id": "exchange-1"})
    names = [name for name, _ in answer.headers]
    assert len(names) == len(set(names))
    assert answer.header("X-Request-Id") == "exchange-1"
    assert answer.header("Cache-Control") == "no-store"
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert answer.header("Vary") == "Authorization"


@pytest.mark.parametrize("sent", ["", "a b", "é", "x" * 129, "a\nb", "a;b", b"\xff\xfe"])
async def test_a_request_id_that_is_none_is_replaced(sent: str | bytes) -> None:
    answer = await create_world().call("GET", "/livez", headers={"X-Request-Id": sent})
    assert UUID7.fullmatch(answer.header("X-Request-Id") or "")


async def test_a_request_to_a_foreign_host_name_is_refused_when_the_host_is_checked() -> None:
    world = create_world(host_check=lambda host: host == "127.0.0.1:8080")
    refusal = await world.call("GET", CHATS, headers={"Host": "rebound.example"})
    assert (refusal.status, refusal.json()["errors"][0]["field"]) == (400, "Host")
    assert (await world.call("GET", CHATS)).status == 200


async def test_one_log_line_names_the_route_and_nothing_of_the_request() -> None:
    world = create_world()
    chat = await world.new_chat(body=b'{"title":"secret"}')
    with capture_logs() as lines:
        await world.call("GET", f"{CHATS}/{chat['id']}?secret=1", headers={"X-Secret": "secret"})
        await world.call("GET", "/livez")
        await world.call("GET", "/secret")
    assert [(line["method"], line["route"], line["status"]) for line in lines] == [
        ("GET", "/mini-chat/v1/chats/{chat_id}", 200),
        ("GET", "none", 404),
    ]
    assert all(line["duration_ms"] >= 0 for line in lines)
    assert "secret" not in str(lines)
    assert chat["id"] not in str(lines)


async def test_a_handler_may_choose_its_own_value_for_a_common_header() -> None:
    answer = await create_world().call("GET", "/docs/swagger_style.css")
    assert answer.header("Cache-Control") == "public, max-age=3600"

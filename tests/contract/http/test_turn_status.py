"""GET of a turn: api.md 3.2 and 3.5, member by member."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest

from domain.ids import ChatId, MessageId, RequestId
from domain.providers.events import Finish
from domain.scope import scope_for
from domain.turns.models import TurnState, TurnStatus
from tests.contract.http.world import CHATS, PEOPLE, World, create_world
from tests.contract.store.backends import InMemory
from tests.contract.store.samples import a_turn, an_ended_turn

BEGUN = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
KEY = RequestId(UUID("0198c0de-7a10-7c3e-9b1f-5d2a4e6f8a01"))
ANSWER = MessageId(UUID("0198c0de-7a11-7d40-8c2e-6e3b5f708b12"))
SUCCESSOR = RequestId(UUID("0198c0de-7a12-7d40-8c2e-6e3b5f708b13"))


async def a_chat(world: World) -> ChatId:
    return ChatId(UUID((await world.new_chat())["id"]))


async def put(world: World, turn: TurnStatus, user_seq: int = 1) -> str:
    """The turn's address."""
    await InMemory(world.store).put_turn(scope_for(PEOPLE["ann"]), turn, user_seq=user_seq)
    return f"{CHATS}/{turn.chat_id}/turns/{turn.request_id}"


async def test_a_completed_turn_has_its_members_in_order() -> None:
    world = create_world()
    turn = a_turn(
        await a_chat(world),
        request_id=KEY,
        state=TurnState.COMPLETED,
        finish=Finish.STOP,
        assistant_message_id=ANSWER,
        created_at=BEGUN,
        updated_at=BEGUN + timedelta(milliseconds=1_500),
    )
    answer = await world.call("GET", await put(world, turn))
    assert answer.status == 200
    assert list(answer.json().items()) == [
        ("request_id", str(KEY)),
        ("state", "done"),
        ("assistant_message_id", str(ANSWER)),
        ("updated_at", "2026-03-01T09:30:01.500000Z"),
        ("created_at", "2026-03-01T09:30:00.000000Z"),
        ("effective_model", "m"),
        ("finish_reason", "stop"),
    ]


async def test_a_failed_turn_names_its_code() -> None:
    world = create_world()
    turn = an_ended_turn(await a_chat(world), error_code="provider_timeout")
    found = (await world.call("GET", await put(world, turn))).json()
    assert list(found) == ["request_id", "state", "error_code", "updated_at", "created_at", "effective_model"]
    assert (found["state"], found["error_code"]) == ("error", "provider_timeout")


@pytest.mark.parametrize(("state", "word"), [(TurnState.RUNNING, "running"), (TurnState.CANCELLED, "cancelled")])
async def test_a_turn_without_answer_leaves_out_what_it_does_not_have(state: TurnState, word: str) -> None:
    world = create_world()
    turn = a_turn(await a_chat(world), state=state)
    found = (await world.call("GET", await put(world, turn))).json()
    assert list(found) == ["request_id", "state", "updated_at", "created_at", "effective_model"]
    assert found["state"] == word


async def test_a_replaced_turn_tells_when_and_by_which() -> None:
    world = create_world()
    gone_at = BEGUN + timedelta(hours=1)
    turn = an_ended_turn(await a_chat(world), updated_at=gone_at, deleted_at=gone_at, replaced_by=SUCCESSOR)
    found = (await world.call("GET", await put(world, turn))).json()
    assert list(found)[-2:] == ["replaced_by_request_id", "deleted_at"]
    assert found["replaced_by_request_id"] == str(SUCCESSOR)
    assert found["deleted_at"] == found["updated_at"] == "2026-03-01T10:30:00.000000Z"


async def test_latest_is_the_newest_that_is_left() -> None:
    world = create_world()
    chat_id = await a_chat(world)
    await put(world, an_ended_turn(chat_id, request_id=KEY), user_seq=1)
    await put(world, an_ended_turn(chat_id, deleted_at=BEGUN, updated_at=BEGUN), user_seq=3)
    answer = await world.call("GET", f"{CHATS}/{chat_id}/turns/latest")
    assert (answer.status, answer.json()["request_id"]) == (200, str(KEY))


async def test_a_name_in_capitals_names_the_same_turn() -> None:
    world = create_world()
    address = await put(world, an_ended_turn(await a_chat(world), request_id=KEY))
    answer = await world.call("GET", address.replace(str(KEY), str(KEY).upper()))
    assert (answer.status, answer.json()["request_id"]) == (200, str(KEY))


@pytest.mark.parametrize("name", ["latest", pytest.param(str(uuid4()), id="a key")])
async def test_a_chat_without_the_turn_and_a_missing_chat_are_told_apart(name: str) -> None:
    world = create_world()
    chat_id = await a_chat(world)
    missing = await world.call("GET", f"{CHATS}/{chat_id}/turns/{name}")
    assert (missing.status, missing.json()["code"]) == (404, "turn_not_found")
    nowhere = await world.call("GET", f"{CHATS}/{uuid4()}/turns/{name}")
    assert (nowhere.status, nowhere.json()["code"]) == (404, "chat_not_found")


@pytest.mark.parametrize("who", ["bob", "eve"])
async def test_nobody_else_sees_a_turn(who: str) -> None:
    world = create_world()
    address = await put(world, an_ended_turn(await a_chat(world)))
    answer = await world.call("GET", address, who=who)
    assert (answer.status, answer.json()["code"]) == (404, "chat_not_found")
    assert (await world.call("GET", address, who="viewer")).status == 404


@pytest.mark.parametrize("name", ["LATEST", "latest%0A", f"{KEY}%0A", "last", f"{KEY}0", f"urn:uuid:{KEY}", "%00"])
async def test_a_name_that_is_none_is_refused_before_the_chat_is_looked_for(name: str) -> None:
    answer = await create_world().call("GET", f"{CHATS}/{uuid4()}/turns/{name}")
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["code"]) == ("request_id", "invalid_uuid")

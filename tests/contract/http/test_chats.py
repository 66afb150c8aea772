import re

import pytest

from tests.contract.http.world import CHATS, create_world

MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


async def test_a_chat_is_created_with_what_was_chosen_and_can_be_read() -> None:
    world = create_world()
    body = '{"title":"  Été ","model":"second","is_temporary":true,"metadata":{"team":"a"},"unknown":[1]}'.encode()
    answer = await world.call("POST", CHATS, body=body)
    chat = answer.json()
    assert answer.status == 201
    assert list(chat) == [
        "id", "model", "title", "is_temporary", "is_favorite", "metadata", "message_count", "created_at", "updated_at",
    ]  # fmt: skip
    assert list(chat.values())[1:7] == ["second", "Été", True, False, {"team": "a"}, 0]
    assert MOMENT.fullmatch(chat["created_at"])
    assert MOMENT.fullmatch(chat["updated_at"])
    assert answer.header("Location") == f"{CHATS}/{chat['id']}"
    read = await world.call("GET", answer.header("Location") or "")
    assert (read.status, read.body) == (200, answer.body)


@pytest.mark.parametrize("body", [b"{}", b'{"title":null}'])
async def test_a_chat_needs_nothing_and_gets_the_default_model_and_no_title(body: bytes) -> None:
    chat = await create_world().new_chat(body=body)
    assert chat["model"] == "first"
    assert "title" not in chat


@pytest.mark.parametrize(
    ("body", "field", "code"),
    [
        (b"", "body", "required"),
        (b"null", "", "type"),
        (b'{"title":""}', "title", "blank"),
        ('{"title":" \u2003"}'.encode(), "title", "blank"),
        (b'{"title":"' + b"x" * 256 + b'"}', "title", "too_long"),
        (b'{"title":1}', "title", "type"),
        (b'{"model":null}', "model", "type"),
        (b'{"is_temporary":"true"}', "is_temporary", "type"),
        (b'{"is_temporary":1}', "is_temporary", "type"),
        (b'{"metadata":[]}', "metadata", "type"),
        (b'{"metadata":{"a":1}}', "metadata", "type"),
        (b'{"metadata":{"a b":"x"}}', "metadata", "invalid_value"),
        (b'{"metadata":{"a":"' + b"x" * 513 + b'"}}', "metadata", "too_long"),
        (b'{"metadata":{' + b",".join(b'"%d":""' % n for n in range(17)) + b"}}", "metadata", "too_long"),
    ],
)
async def test_a_body_that_is_not_one_names_its_fault(body: bytes, field: str, code: str) -> None:
    answer = await create_world().call("POST", CHATS, body=body)
    assert (answer.status, answer.json()["code"]) == (400, "invalid_request")
    (fault,) = answer.json()["errors"]
    assert (fault["field"], fault["code"]) == (field, code)


async def test_a_title_may_be_as_long_as_the_bound_after_trimming() -> None:
    chat = await create_world().new_chat(body=b'{"title":" ' + b"x" * 255 + b' "}')
    assert chat["title"] == "x" * 255


@pytest.mark.parametrize("model", ["unheard-of", "gone", ""])
async def test_unknown_and_disabled_models_look_alike(model: str) -> None:
    answer = await create_world().call("POST", CHATS, body=b'{"model":"%s"}' % model.encode())
    assert (answer.status, answer.json()["code"]) == (400, "invalid_model")
    assert "errors" not in answer.json()


async def test_a_rename_is_trimmed_told_and_kept() -> None:
    world = create_world()
    chat = await world.new_chat()
    answer = await world.call("PATCH", f"{CHATS}/{chat['id']}", body=b'{"title":" New ","model":"second"}')
    assert (answer.status, answer.json()["title"], answer.json()["model"]) == (200, "New", "first")
    assert answer.json()["updated_at"] > chat["updated_at"]
    assert (await world.call("GET", f"{CHATS}/{chat['id']}")).body == answer.body


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"{}", "required"),
        (b'{"unknown":1}', "required"),
        (b'{"title":null}', "type"),
        (b'{"title":" "}', "blank"),
        (b'{"title":"fine","is_favorite":null}', "type"),
        (b'{"is_favorite":1}', "type"),
        (b'{"is_favorite":"true"}', "type"),
        (b'{"metadata":null}', "type"),
        (b'{"metadata":[]}', "type"),
        (b'{"metadata":{"a":1}}', "type"),
        (b'{"metadata":{"a":{}}}', "type"),
        (b'{"metadata":{"a b":null}}', "invalid_value"),
        (b'{"metadata":{"":null}}', "invalid_value"),
        (b'{"metadata":{"a":"' + b"x" * 513 + b'"}}', "too_long"),
        (b'{"metadata":{' + b",".join(b'"%d":""' % n for n in range(17)) + b"}}", "too_long"),
    ],
)
async def test_a_patch_that_is_not_one_is_refused(body: bytes, code: str) -> None:
    world = create_world()
    chat = await world.new_chat()
    answer = await world.call("PATCH", f"{CHATS}/{chat['id']}", body=body)
    assert (answer.status, answer.json()["errors"][0]["code"]) == (400, code)


async def test_a_patch_changes_what_it_names_and_only_a_title_is_activity() -> None:
    world = create_world()
    chat = await world.new_chat(body=b'{"title":"kept","metadata":{"a":"1","b":"2"}}')
    address = f"{CHATS}/{chat['id']}"
    favourite = (await world.call("PATCH", address, body=b'{"is_favorite":true}')).json()
    assert favourite == {**chat, "is_favorite": True}
    noted = (await world.call("PATCH", address, body=b'{"metadata":{"a":null,"c":"3","d":null}}')).json()
    assert noted == {**favourite, "metadata": {"b": "2", "c": "3"}}
    body = b'{"title":" New ","is_favorite":false,"metadata":{"b":""}}'
    changed = (await world.call("PATCH", address, body=body)).json()
    assert changed.pop("updated_at") > noted.pop("updated_at")
    assert changed == {**noted, "title": "New", "is_favorite": False, "metadata": {"b": "", "c": "3"}}


async def test_metadata_may_be_exchanged_up_to_the_bound_and_not_beyond() -> None:
    world = create_world()
    members = ",".join(f'"old{number}":"x"' for number in range(16))
    chat = await world.new_chat(body=f'{{"metadata":{{{members}}}}}'.encode())
    address = f"{CHATS}/{chat['id']}"
    refused = await world.call("PATCH", address, body=b'{"title":"lost too","metadata":{"new":"x"}}')
    assert (refused.status, refused.json()["errors"][0]["code"]) == (400, "too_long")
    assert (await world.call("GET", address)).json() == chat
    exchanged = ",".join(f'"old{number}":null,"new{number}":"x"' for number in range(16))
    answer = await world.call("PATCH", address, body=f'{{"metadata":{{{exchanged}}}}}'.encode())
    assert (answer.status, sorted(answer.json()["metadata"])) == (200, sorted(f"new{number}" for number in range(16)))


async def test_a_deleted_chat_comes_back_as_it_was() -> None:
    world = create_world()
    chat = await world.new_chat(body=b'{"title":"Tides","metadata":{"a":"1"}}')
    address = f"{CHATS}/{chat['id']}"
    assert (await world.call("POST", f"{address}/restore")).json() == chat
    await world.call("DELETE", address)
    assert (await world.call("POST", f"{address}/restore", who="bob")).status == 404
    assert (await world.call("POST", f"{address}/restore", who="viewer")).status == 403
    answer = await world.call("POST", f"{address}/restore")
    assert (answer.status, answer.json()) == (200, chat)
    assert (await world.call("GET", CHATS)).json()["items"] == [chat]


async def test_a_temporary_chat_does_not_come_back() -> None:
    world = create_world()
    chat = await world.new_chat(body=b'{"is_temporary":true}')
    address = f"{CHATS}/{chat['id']}"
    await world.call("DELETE", address)
    answer = await world.call("POST", f"{address}/restore")
    assert (answer.status, answer.json()["code"]) == (404, "chat_not_found")


async def test_the_body_is_looked_at_before_the_chat() -> None:
    answer = await create_world().call("PATCH", f"{CHATS}/0198c0de-79f0-7a01-9d00-1b2c3d4e5f60", body=b"{}")
    assert answer.status == 400


async def test_a_deleted_chat_is_gone_everywhere() -> None:
    world = create_world()
    chat = await world.new_chat()
    address = f"{CHATS}/{chat['id']}"
    gone = await world.call("DELETE", address)
    assert (gone.status, gone.body) == (204, b"")
    assert (await world.call("DELETE", address)).status == 404
    assert (await world.call("GET", address)).status == 404
    assert (await world.call("PATCH", address, body=b'{"title":"x"}')).status == 404
    assert (await world.call("GET", f"{address}/messages")).status == 404
    assert (await world.call("GET", CHATS)).json()["items"] == []


async def test_an_id_in_capitals_names_the_same_chat() -> None:
    world = create_world()
    chat = await world.new_chat()
    answer = await world.call("GET", f"{CHATS}/{chat['id'].upper()}")
    assert (answer.status, answer.json()["id"]) == (200, chat["id"])


async def test_lists_show_the_callers_chats_alone() -> None:
    world = create_world()
    own = await world.new_chat(who="ann")
    await world.new_chat(who="bob")
    await world.new_chat(who="eve")
    assert [item["id"] for item in (await world.call("GET", CHATS)).json()["items"]] == [own["id"]]

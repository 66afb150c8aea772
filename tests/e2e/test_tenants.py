"""Nobody sees what is somebody else's: a foreign object answers, to the byte, as one that does not exist."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest

from tests.harness.client import API, Client, comparable
from tests.harness.postgres import Database
from tests.harness.service import Service, serving, settings
from tests.unit.infra.auth.signing import AUDIENCE, ISSUER, PUBLISHED, signed

MODELS = {"echo": "mock-echo"}
SECRET = "CNRY-of-acme"


@pytest.fixture
async def client(service: Service) -> AsyncIterator[Client]:
    async with service.caller(await service.token("acme", "ada")) as client:
        yield client


async def routes_of_a_chat(client: Client) -> list[tuple[str, str]]:
    """(method, path below /v1 with places for ids) of everything the server says it offers on a chat."""
    document = (await client.ask("GET", "/openapi.json")).json()
    return [
        (method.upper(), path.removeprefix(f"{API}/"))
        for path, operations in document["paths"].items()
        for method in operations
        if "{chat_id}" in path
    ]


@pytest.mark.parametrize(("tenant", "user"), [("globex", "ada"), ("acme", "bob")], ids=["tenant", "user"])
async def test_a_foreign_chat_is_as_good_as_none_on_every_route(
    client: Client, service: Service, tenant: str, user: str
) -> None:
    chat_id = await client.chat(title=SECRET)
    request_id = (await client.told(chat_id, SECRET)).request_id
    stranger = client.under(await service.token(tenant, user))
    routes = await routes_of_a_chat(client)
    assert len(routes) >= 6
    for method, path in routes:
        body = {"content": "Hello", "title": "Mine"} if method in {"POST", "PATCH"} else None
        foreign = await stranger.ask(method, path.format(chat_id=chat_id, request_id=request_id), body)
        missing = await stranger.ask(method, path.format(chat_id=uuid4(), request_id=uuid4()), body)
        assert foreign.status == 404, (method, path)
        assert comparable(foreign) == comparable(missing), (method, path)
    assert (await stranger.ask("GET", "chats")).json()["items"] == []
    assert [message["content"] for message in await client.messages(chat_id)] == [SECRET, SECRET]


async def test_a_foreign_turn_is_as_good_as_none_in_ones_own_chat(client: Client, service: Service) -> None:
    request_id = (await client.told(await client.chat(), SECRET)).request_id
    stranger = client.under(await service.token("globex", "ada"))
    own = await stranger.chat()
    turns = [(method, path) for method, path in await routes_of_a_chat(client) if "{request_id}" in path]
    assert len(turns) >= 4
    for method, path in turns:
        body = {"content": "Hello"} if method in {"POST", "PATCH"} else None
        foreign = await stranger.ask(method, path.format(chat_id=own, request_id=request_id), body)
        missing = await stranger.ask(method, path.format(chat_id=own, request_id=uuid4()), body)
        assert (foreign.status, foreign.json()["code"]) == (404, "turn_not_found"), (method, path)
        assert comparable(foreign) == comparable(missing), (method, path)


async def test_one_request_id_serves_two_tenants(client: Client, service: Service) -> None:
    stranger = client.under(await service.token("globex", "ada"))
    request_id = str(uuid4())
    mine = await client.told(content="one", request_id=request_id)
    theirs = await stranger.told(content="two", request_id=request_id)
    assert (mine.text, theirs.text) == ("one", "two")
    assert mine.message_id != theirs.message_id


@pytest.mark.parametrize(("tenant", "user"), [("globex", "ada"), ("acme", "bob")], ids=["tenant", "user"])
async def test_a_deleted_chat_comes_back_to_its_owner_alone(
    client: Client, service: Service, tenant: str, user: str
) -> None:
    chat_id = await client.chat(title=SECRET)
    await client.told(chat_id, SECRET)
    before = await client.ask("GET", f"chats/{chat_id}")
    assert (await client.ask("DELETE", f"chats/{chat_id}")).status == 204
    stranger = client.under(await service.token(tenant, user))
    foreign = await stranger.ask("POST", f"chats/{chat_id}/restore")
    assert comparable(foreign) == comparable(await stranger.ask("POST", f"chats/{uuid4()}/restore"))
    assert (await client.ask("GET", f"chats/{chat_id}")).status == 404
    restored = await client.ask("POST", f"chats/{chat_id}/restore")
    assert (restored.status, restored.body) == (200, before.body)
    assert [message["content"] for message in await client.messages(chat_id)] == [SECRET, SECRET]


@pytest.mark.parametrize("credential", ["Bearer nonsense", "Basic YWRhOmFkYQ==", "Bearer", "Bearer a.b.c"])
async def test_a_bad_credential_is_refused(client: Client, credential: str) -> None:
    answer = await client.ask("GET", "chats", headers={"Authorization": credential})
    assert (answer.status, answer.json()["code"]) == (401, "unauthorized")
    assert answer.header("www-authenticate") == 'Bearer error="invalid_token"'


async def test_in_production_mode_the_issuer_decides_who_somebody_is(database: Database, tmp_path: Path) -> None:
    (tmp_path / "issuer.json").write_bytes(PUBLISHED)
    (tmp_path / "secret").write_text("0123456789abcdef" * 4)
    env = settings(database, MODELS) | {
        "MINI_CHAT_AUTH_MODE": "jwt",
        "MINI_CHAT_AUTH_JWT_ISSUER": ISSUER,
        "MINI_CHAT_AUTH_JWT_AUDIENCE": AUDIENCE,
        "MINI_CHAT_AUTH_JWT_KEY_FILE": str(tmp_path / "issuer.json"),
        "MINI_CHAT_SECRETS_SIGNING_KEY": f"file:{tmp_path / 'secret'}",
    }
    async with serving(tmp_path / "server", database, env) as service, service.caller(signed()) as ada:
        chat_id = await ada.chat()
        assert (await ada.told(chat_id)).terminal
        for stranger in (signed(tenant_id="globex"), signed(sub="bob")):
            assert (await ada.under(stranger).ask("GET", f"chats/{chat_id}")).status == 404
        for refused, status in ((signed(exp=1), 401), (signed(aud="other"), 401), (signed(features=None), 403)):
            assert (await ada.under(refused).ask("GET", f"chats/{chat_id}")).status == status
        anonymous = await ada.under("").ask("GET", "chats")
        assert (anonymous.status, anonymous.header("www-authenticate")) == (401, "Bearer")

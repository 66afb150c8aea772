"""The deployment of deploy/ as processes of this machine: PostgreSQL, Redis, two replicas, nginx from its own file.

The replicas get the environment of compose.yaml with addresses of this machine, in production's token mode.
"""

import itertools
import signal
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import anyio
import jwt
import msgspec
import pytest
import yaml  # type: ignore[import-untyped]  # it ships no types
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from yarl import URL

from tests.harness.nginx import balancer
from tests.harness.postgres import PostgresServer
from tests.harness.processes import Server, mini_chat
from tests.harness.redis import RedisServer

pytestmark = pytest.mark.nginx

COMPOSE = Path(__file__).resolve().parents[2] / "deploy" / "compose.yaml"
API = "/mini-chat/v1"
INTERVAL_MS = 100
PACED = f"mock-ttft50-itl{INTERVAL_MS}-len12"
MODELS = [
    {"id": "paced", "provider_id": "scripted", "provider_model_id": PACED, "is_default": True},
    {"id": "thoughtful", "provider_id": "scripted", "provider_model_id": "mock-ttft60000"},
]
TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"


class Topology(msgspec.Struct, frozen=True, kw_only=True):
    nginx: Server
    replicas: tuple[Server, Server]
    client: aiohttp.ClientSession

    def send(self, model: str) -> Any:
        """A request context for a new chat's first message, through nginx."""
        return self.client.post(f"{self.nginx.url}{API}/chats:stream", json={"content": "Hello", "model": model})

    async def create_chat(self, server: Server) -> str:
        async with self.client.post(f"{server.url}{API}/chats", json={"model": "paced"}) as response:
            assert response.status == 201, await response.text()
            chat_id: str = (await response.json())["id"]
            return chat_id


class Identity:
    """An identity provider: a key pair, the public half in a file."""

    def __init__(self, folder: Path) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.key_file = folder / "issuer.pem"
        self.key_file.write_bytes(self._key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))

    def token(self) -> str:
        claims = {
            "iss": "https://id.test",
            "aud": "mini-chat",
            "exp": datetime.now(UTC) + timedelta(hours=1),
            "tenant_id": "acme",
            "sub": "ada",
            "features": ["ai_chat"],
        }
        key = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return jwt.encode(claims, key, algorithm="ES256")


def replica_environment(folder: Path, identity: Identity, dsn: str, redis_url: str) -> dict[str, str]:
    """compose.yaml's own, except for what names another machine or a mounted secret."""
    env: dict[str, str] = dict(yaml.safe_load(COMPOSE.read_text())["x-replica"]["environment"])
    for elsewhere in ("MINI_CHAT_HTTP_PORT", "MINI_CHAT_AUTH_JWT_JWKS_URL"):
        del env[elsewhere]
    (folder / "serve.toml").write_text(f'[database]\nurl = "{dsn}"\n')
    (folder / "secret").write_text("0123456789abcdef" * 4)
    return env | {
        "MINI_CHAT_CONFIG": str(folder / "serve.toml"),
        "MINI_CHAT_HTTP_HOST": "127.0.0.1",
        "MINI_CHAT_REDIS_URL": redis_url,
        "MINI_CHAT_AUTH_JWT_ISSUER": "https://id.test",
        "MINI_CHAT_AUTH_JWT_AUDIENCE": "mini-chat",
        "MINI_CHAT_AUTH_JWT_KEY_FILE": str(identity.key_file),
        "MINI_CHAT_SECRETS_SIGNING_KEY": f"file:{folder / 'secret'}",
        "MINI_CHAT_PROVIDERS__OPENAI__BASE_URL": "https://provider.invalid/v1",
        "MINI_CHAT_PROVIDERS__OPENAI__AUTH__KEY": f"file:{folder / 'secret'}",
        "MINI_CHAT_DRAIN_ACCEPT_WINDOW": "0s",
        "MINI_CHAT_MODELS": msgspec.json.encode(MODELS).decode(),
    }


@asynccontextmanager
async def running(folder: Path, dsn: str, redis_url: str) -> AsyncIterator[Topology]:
    identity = Identity(folder)
    env = replica_environment(folder, identity, dsn, redis_url)
    headers = {"Authorization": f"Bearer {identity.token()}"}
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(mini_chat(folder / "first", env=env))
        second = await stack.enter_async_context(mini_chat(folder / "second", env=env))
        nginx = await stack.enter_async_context(balancer(folder / "nginx", [first.port, second.port]))
        client = await stack.enter_async_context(aiohttp.ClientSession(headers=headers))
        yield Topology(nginx=nginx, replicas=(first, second), client=client)


@pytest.fixture(scope="module")
def shared_dsn(postgres_server: PostgresServer) -> Iterator[str]:
    with postgres_server.database() as database:
        yield database.dsn


@pytest.fixture(scope="module")
async def topology(
    shared_dsn: str, redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Topology]:
    async with running(tmp_path_factory.mktemp("topology"), shared_dsn, redis_server.url) as topology:
        yield topology


@pytest.mark.timeout(60)
async def test_events_pass_nginx_at_the_pace_they_are_made(topology: Topology) -> None:
    with anyio.fail_after(20):
        async with topology.send("paced") as response:
            assert response.status == 200
            assert response.headers["Content-Type"] == "text/event-stream; charset=utf-8"
            assert "Content-Encoding" not in response.headers
            arrivals_ms = [time.monotonic() * 1000 async for data in response.content.iter_any() if b"delta" in data]
    gaps_ms = [later - earlier for earlier, later in itertools.pairwise(arrivals_ms)]
    assert len(gaps_ms) >= 8
    assert abs(statistics.median(gaps_ms) - INTERVAL_MS) < 20


async def test_both_replicas_serve(topology: Topology) -> None:
    with anyio.fail_after(10):
        for _ in range(4):
            await topology.create_chat(topology.nginx)
        for replica in topology.replicas:
            await topology.nginx.printed(f'"replica":"127.0.0.1:{replica.port}"')


async def test_a_chat_made_on_one_replica_is_read_on_the_other(topology: Topology) -> None:
    first, second = topology.replicas
    with anyio.fail_after(10):
        chat_id = await topology.create_chat(first)
        async with topology.client.get(f"{second.url}{API}/chats/{chat_id}") as response:
            assert response.status == 200
            assert (await response.json())["id"] == chat_id


async def test_correlation_headers_survive_in_both_directions(topology: Topology) -> None:
    headers = {"X-Request-Id": "from-the-client", "traceparent": f"00-{TRACE_ID}-00f067aa0ba902b7-01"}
    unknown = f"{topology.nginx.url}{API}/chats/01234567-89ab-7def-8123-456789abcdef"
    with anyio.fail_after(10):
        async with topology.client.get(unknown, headers=headers) as response:
            assert response.status == 404
            assert response.headers["X-Request-Id"] == "from-the-client"
            assert msgspec.json.decode(await response.read())["trace_id"] == TRACE_ID


async def test_a_reader_who_leaves_nginx_while_nothing_is_said_stops_the_turn(topology: Topology) -> None:
    with anyio.fail_after(10):
        async with topology.send("thoughtful") as response:
            chat = f"{topology.nginx.url}{response.headers['Location']}"
            await response.content.readuntil(b"event: stream_started")
            assert await _send_again(topology.client, chat) == 409
            response.close()
        while await _send_again(topology.client, chat) == 409:  # noqa: ASYNC110 -- the state is remote
            await anyio.sleep(0.05)


async def test_the_metrics_are_not_behind_nginx(topology: Topology) -> None:
    with anyio.fail_after(10):
        async with topology.client.get(f"{topology.nginx.url}/metrics") as response:
            assert response.status == 404


@pytest.mark.timeout(60)
async def test_a_surviving_replica_serves_and_without_any_nginx_answers_a_problem(
    shared_dsn: str, redis_server: RedisServer, tmp_path: Path
) -> None:
    async with running(tmp_path, shared_dsn, redis_server.url) as topology:
        first, second = topology.replicas
        with anyio.fail_after(20):
            await first.kill()
            for _ in range(6):
                await topology.create_chat(topology.nginx)
            second.signal(signal.SIGKILL)
            await second.exited()
            async with topology.client.get(f"{topology.nginx.url}{API}/chats?limit=1") as response:
                problem = msgspec.json.decode(await response.read())
                assert response.headers["Content-Type"] == "application/problem+json"
        assert (response.status, problem["code"], problem["instance"]) == (503, "service_unavailable", f"{API}/chats")
        assert len(problem["trace_id"]) == 32


async def test_the_longest_filter_and_its_page_pass_nginx(topology: Topology) -> None:
    text = "".join(f"%{byte:02X}" for byte in f"title ne '{'x' * (8192 - 11)}'".encode())
    with anyio.fail_after(10):
        for _ in range(2):
            await topology.create_chat(topology.nginx)
        cursor = ""
        for _ in range(2):
            async with topology.client.get(filtered(topology, text, cursor)) as response:
                assert response.status == 200, await response.text()
                cursor = f"&cursor={(await response.json())['page_info']['next_cursor']}"


async def test_the_longest_links_pass_nginx(topology: Topology) -> None:
    """Of cursors that hold the longest titles."""
    with anyio.fail_after(10):
        for _ in range(3):
            async with topology.client.post(f"{topology.nginx.url}{API}/chats", json={"title": LONGEST_TITLE}) as made:
                assert made.status == 201, await made.text()
        target = f"{API}/chats?limit=1&$orderby=title%20desc,created_at&$filter=title%20ne%20'{'x' * 500}'"
        seen, longest = [], 0
        while target:
            async with topology.client.get(URL(topology.nginx.url + target, encoded=True)) as response:
                assert response.status == 200, await response.text()
                seen.append((await response.json())["items"][0].get("title"))
                longest = max(longest, len(response.headers["Link"]))
                target = str(response.links["next"]["url"]) if len(seen) < 3 else ""
                target = target.removeprefix(topology.nginx.url)
        assert seen == [LONGEST_TITLE] * 3
        assert longest > 4096


async def test_nginx_refuses_a_head_without_end_in_the_form_of_the_api(topology: Topology) -> None:
    for target, headers in ((filtered(topology, "x" * 40_000), {}), (f"{topology.nginx.url}/", {"X-A": "x" * 40_000})):
        with anyio.fail_after(10):
            async with topology.client.get(target, headers=headers) as response:
                problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["status"], problem["code"]) == (400, 400, "invalid_request")
        assert problem["errors"][0]["field"] == "request"
        assert len(problem["trace_id"]) == 32


LONGEST_TITLE = "\U0010ffff" * 255


def filtered(topology: Topology, text: str, further: str = "") -> URL:
    return URL(f"{topology.nginx.url}{API}/chats?limit=1&$filter={text}{further}", encoded=True)


async def _send_again(client: aiohttp.ClientSession, chat: str) -> int:
    async with client.post(f"{chat}/messages:stream", json={"content": "Still there?"}) as response:
        response.close()
        return response.status

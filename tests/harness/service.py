"""A real server over the test session's PostgreSQL, its callers, and the audit when they are done."""

import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import anyio
import msgspec

from tests.harness.auditor import audit
from tests.harness.client import Client, calling
from tests.harness.postgres import Database
from tests.harness.processes import Server, clean_environment, mini_chat, mini_chat_command
from tests.harness.upstream import Upstream

STOPS_WITHIN_S: Final = 5
_PLENTY_MICRO: Final = "1000000000000"
REMOTE: Final = {
    "id": "remote",
    "provider_id": "openai",
    "provider_model_id": "remote",
    "context_window": 2_000_000,
    "max_output_tokens": 1_000_000,
}
"""The model at the upstream; it may say more than any socket buffers."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    server: Server
    database: Database

    async def token(self, tenant: str, user: str, *roles: str) -> str:
        return await dev_token(self.server.directory, tenant, user, *roles)

    @asynccontextmanager
    async def caller(self, token: str | None = None) -> AsyncIterator[Client]:
        """Leaving the block proves that nothing was left behind and that rows and streams tell one story."""
        async with calling(self.server, token) as client:
            yield client
            await audit(self.database.superuser_dsn, client.streams)


async def dev_token(folder: Path, tenant: str, user: str, *roles: str) -> str:
    """What `mini-chat token` prints last, in the folder of a server in dev mode."""
    granted = [word for role in roles for word in ("--role", role)]
    command = [str(mini_chat_command()), "token", "--tenant", tenant, "--user", user, *granted]
    made = await anyio.run_process(command, cwd=folder, env=clean_environment({}))
    return made.stdout.decode().splitlines()[-1]


def settings(
    database: Database, scripts: Mapping[str, str], upstream: Upstream | None = None, *models: Mapping[str, Any]
) -> dict[str, str]:
    """The environment of a server with these models, which stops without waiting for anybody and limits no user."""
    env = {} if upstream is None else openai_at(upstream)
    remote = () if upstream is None else (REMOTE,)
    return env | {
        "MINI_CHAT_DATABASE_URL": database.dsn,
        "MINI_CHAT_MODELS": model_list(scripts, *remote, *models),
        "MINI_CHAT_DRAIN_ACCEPT_WINDOW": "0s",
        "MINI_CHAT_DRAIN_TURN_DEADLINE": "100ms",
        "MINI_CHAT_LIMITS_USER_REQUESTS_PER_MINUTE": "0",
        "MINI_CHAT_LIMITS_USER_SENDS_PER_MINUTE": "0",
        "MINI_CHAT_LIMITS_USER_MAX_RUNNING_TURNS": "0",
        "MINI_CHAT_QUOTA_TOTAL_DAILY_MICRO": _PLENTY_MICRO,
        "MINI_CHAT_QUOTA_TOTAL_MONTHLY_MICRO": _PLENTY_MICRO,
    }


def openai_at(upstream: Upstream) -> dict[str, str]:
    """The provider `openai`, which is called however often it has failed before: other tests made it."""
    wanted = {
        "KIND": "openai_chat",
        "BASE_URL": upstream.url,
        "ALLOW_HTTP": "true",
        "ALLOW_PRIVATE_NETWORK": "true",
        "BREAKER_FAILURES": "0",
    }
    return {f"MINI_CHAT_PROVIDERS__OPENAI__{name}": value for name, value in wanted.items()}


def model_list(scripts: Mapping[str, str], *further: Mapping[str, Any]) -> str:
    """Scripted models by id, the first of them the default, and further ones."""
    entries: list[dict[str, Any]] = [
        {"id": name, "provider_id": "scripted", "provider_model_id": script} for name, script in scripts.items()
    ]
    entries[0]["is_default"] = True
    return msgspec.json.encode([*entries, *further]).decode()


@asynccontextmanager
async def serving(folder: Path, database: Database, env: Mapping[str, str], *arguments: str) -> AsyncIterator[Service]:
    """Stopped by SIGTERM in the end, which has to succeed."""
    async with mini_chat(folder, *arguments, env=env) as server:
        yield Service(server=server, database=database)
        server.signal(signal.SIGTERM)
        with anyio.fail_after(STOPS_WITHIN_S):
            assert await server.exited() == 0, server.output()

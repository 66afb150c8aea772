"""A real server over the test session's PostgreSQL, its callers, and the audit when they are done."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.harness.auditor import audit
from tests.harness.client import Client, calling
from tests.harness.postgres import Database
from tests.harness.processes import Server, mini_chat
from tests.harness.upstream import Upstream


class Service(msgspec.Struct, frozen=True, kw_only=True):
    server: Server
    database: Database

    @asynccontextmanager
    async def caller(self, token: str | None = None) -> AsyncIterator[Client]:
        """Leaving the block proves that nothing was left behind and that rows and streams tell one story."""
        async with calling(self.server, token) as client:
            yield client
            await audit(self.database.superuser_dsn, client.streams)


def settings(database: Database, models: Mapping[str, str], upstream: Upstream | None = None) -> dict[str, str]:
    """The environment of a server with these models, which stops without waiting for anybody."""
    env = {"OPENAI_BASE_URL": upstream.url} if upstream is not None else {}
    return env | {
        "MINI_CHAT_DATABASE_URL": database.dsn,
        "MINI_CHAT_MODELS": model_list(models, remote=upstream is not None),
        "MINI_CHAT_DRAIN_ACCEPT_WINDOW": "0s",
        "MINI_CHAT_DRAIN_TURN_DEADLINE": "100ms",
    }


def model_list(scripts: Mapping[str, str], *, remote: bool = False) -> str:
    """Scripted models by id, the first by default, and `remote` at the upstream."""
    entries: list[dict[str, Any]] = [
        {"id": name, "provider_id": "scripted", "provider_model_id": script} for name, script in scripts.items()
    ]
    if remote:
        remote_model = {"id": "remote", "provider_id": "openai", "provider_model_id": "remote"}
        entries.append(remote_model | {"context_window": 2_000_000, "max_output_tokens": 1_000_000})
    entries[0]["is_default"] = True
    return msgspec.json.encode(entries).decode()


@asynccontextmanager
async def serving(folder: Path, database: Database, env: Mapping[str, str], *arguments: str) -> AsyncIterator[Service]:
    async with mini_chat(folder, *arguments, env=env) as server:
        yield Service(server=server, database=database)

"""Rows put in by hand, below the repositories, for tests of the schema itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import msgspec

FAR_AWAY = datetime(2100, 1, 1, tzinfo=UTC)


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """One tenant with one user, who has one chat with one running turn."""

    tenant_id: UUID = msgspec.field(default_factory=uuid4)
    user_id: UUID = msgspec.field(default_factory=uuid4)
    chat_id: UUID = msgspec.field(default_factory=uuid4)
    turn_id: UUID = msgspec.field(default_factory=uuid4)
    message_id: UUID = msgspec.field(default_factory=uuid4)
    request_id: UUID = msgspec.field(default_factory=uuid4)


@asynccontextmanager
async def connected(dsn: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def acting_for(connection: asyncpg.Connection, tenant_id: UUID | None) -> AsyncIterator[None]:
    """A transaction under the tenant, or under none."""
    async with connection.transaction():
        if tenant_id is not None:
            await connection.execute("SELECT set_config('app.tenant', $1, true)", str(tenant_id))
        yield


async def add_chat(connection: asyncpg.Connection, tenant: Tenant) -> None:
    await insert(
        connection,
        "chats",
        tenant_id=tenant.tenant_id,
        id=tenant.chat_id,
        user_id=tenant.user_id,
        model="scripted",
        is_temporary=False,
    )


async def add_running_turn(connection: asyncpg.Connection, tenant: Tenant, **columns: Any) -> None:
    """The turn and its user message; `columns` replace what would stand in the turn."""
    await insert(connection, "chat_turns", **(_turn(tenant) | columns))
    await insert(
        connection,
        "messages",
        tenant_id=tenant.tenant_id,
        id=tenant.message_id,
        chat_id=tenant.chat_id,
        turn_id=tenant.turn_id,
        request_id=tenant.request_id,
        seq=1,
        role="user",
        content="hello",
        is_partial=False,
    )


async def insert(connection: asyncpg.Connection, table: str, **columns: Any) -> None:
    names = ", ".join(columns)
    places = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    await connection.execute(f"INSERT INTO mini_chat.{table} ({names}) VALUES ({places})", *columns.values())  # noqa: S608 names come from tests


def _turn(tenant: Tenant) -> dict[str, Any]:
    return {
        "tenant_id": tenant.tenant_id,
        "id": tenant.turn_id,
        "chat_id": tenant.chat_id,
        "user_id": tenant.user_id,
        "request_id": tenant.request_id,
        "kind": "send",
        "body_fingerprint": bytes(32),
        "on_disconnect": "cancel",
        "user_seq": 1,
        "user_message_id": tenant.message_id,
        "planned_message_id": uuid4(),
        "trace_id": "0" * 32,
        "state": "running",
        "owner_epoch": 1,
        "lease_until": FAR_AWAY,
        "selected_model": "scripted",
        "effective_model": "scripted",
        "provider_id": "scripted",
        "max_output_tokens": 100,
    }

"""What happened and the word of it commit together; where a sink waits, so does the job that carries it out."""

from datetime import UTC, datetime

import asyncpg
import pytest

from domain.audit.events import Actor, EventType, Stream, audit_event
from domain.chats.service import ChatDraft, ChatPatch
from domain.errors import ChatNotFound
from domain.ids import ChatId
from domain.scope import scope_for
from domain.telemetry.trace_context import new_trace
from domain.turns.models import LATEST, SendCommand
from infra.postgres.repositories.events import EventKeeping
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_key, a_user, read_all, running_engine
from tests.harness.jobs import transactions
from tests.harness.postgres import Database
from tests.harness.rows import connected

pytestmark = pytest.mark.postgres

WHO = a_user()
CREATED, RENAMED, DELETED = EventType.CHAT_CREATED, EventType.CHAT_RENAMED, EventType.CHAT_DELETED


async def told(database: Database, event_type: EventType) -> list[asyncpg.Record]:
    async with connected(database.superuser_dsn) as connection:
        rows = await connection.fetch(
            "SELECT * FROM mini_chat.audit_events WHERE event_type = $1 ORDER BY occurred_at", event_type.value
        )
        return list(rows)


async def test_the_life_of_a_chat_is_told(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a"))) as engine:
        chat_id = await a_chat(engine, WHO)
        await engine.chats.change(WHO, chat_id, ChatPatch(title="CNRY-title"))
        await engine.chats.delete(WHO, chat_id)
        with pytest.raises(ChatNotFound):
            await engine.chats.delete(WHO, chat_id)
    for event_type in (CREATED, RENAMED, DELETED):
        (row,) = await told(database, event_type)
        assert (row["chat_id"], row["user_id"], row["tenant_id"]) == (chat_id, WHO.user_id, WHO.tenant_id)
        assert "CNRY" not in row["body"]


async def test_a_chat_that_comes_with_its_first_message_is_told_once(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a"))) as engine:
        command = SendCommand(target=ChatDraft(), content="Hello", request_id=a_key())
        for _ in range(2):
            await read_all((await engine.turns.send(WHO, command, new_trace())).reader)
    assert len(await told(database, CREATED)) == 1


async def _changed(engine: Engine, content: str | None) -> ChatId:
    chat_id = await a_chat(engine, WHO)
    await read_all((await engine.send(WHO, chat_id)).reader)
    await read_all((await engine.change(WHO, chat_id, content=content)).reader)
    await engine.removal.remove(WHO, chat_id, LATEST)
    return chat_id


@pytest.mark.parametrize(("content", "event_type"), [(None, EventType.TURN_RETRY), ("CNRY-other", EventType.TURN_EDIT)])
async def test_a_turn_that_is_replaced_or_deleted_is_told(
    database: Database, content: str | None, event_type: EventType
) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a"))) as engine:
        chat_id = await _changed(engine, content)
    (replaced,), (deleted,) = await told(database, event_type), await told(database, EventType.TURN_DELETE)
    async with connected(database.superuser_dsn) as connection:
        turns = await connection.fetch("SELECT id, request_id FROM mini_chat.chat_turns ORDER BY user_seq")
    (old, old_key), (new, new_key) = turns
    assert (replaced["turn_id"], replaced["chat_id"]) == (old, chat_id)
    assert f'"original_request_id": "{old_key}"' in replaced["body"]
    assert f'"new_request_id": "{new_key}"' in replaced["body"]
    assert deleted["turn_id"] == new
    assert "CNRY" not in replaced["body"]


@pytest.mark.parametrize("exported", [frozenset({Stream.AUDIT}), frozenset({Stream.USAGE}), frozenset()])
async def test_only_a_stream_with_a_sink_makes_jobs(database: Database, exported: frozenset[Stream]) -> None:
    scope = scope_for(WHO)
    event = audit_event(CREATED, scope, Actor.of(WHO), datetime.now(UTC))
    async with transactions(database.dsn, EventKeeping(exported=exported)) as begin, begin(scope) as tx:
        await tx.events.add(event)
    async with connected(database.superuser_dsn) as connection:
        jobs = await connection.fetch("SELECT entrypoint, convert_from(payload, 'utf8') AS payload FROM mini_chat.jobs")
    if Stream.AUDIT not in exported:
        assert jobs == []
        return
    (job,) = jobs
    assert job["entrypoint"] == "audit_export"
    assert job["payload"] == f'{{"type":"audit_export","tenant_id":"{WHO.tenant_id}","event_id":"{event.id}"}}'

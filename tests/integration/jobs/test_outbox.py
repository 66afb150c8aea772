"""What happened and the word of it commit together; where a sink waits, so does the job that carries it out."""

from datetime import UTC, datetime
from typing import Any

import anyio
import asyncpg
import msgspec
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
        for _ in range(2):
            await engine.chats.restore(WHO, chat_id)
    for event_type in (CREATED, RENAMED, DELETED, EventType.CHAT_RESTORED):
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


async def _endings(database: Database) -> tuple[dict[str, Any], dict[str, Any]]:
    """The one audit event and the one usage event of the one turn that ended."""
    async with connected(database.superuser_dsn) as connection:
        audited = await connection.fetch("SELECT body FROM mini_chat.audit_events WHERE event_type LIKE 'turn_%ed'")
        used = await connection.fetch("SELECT body FROM mini_chat.usage_events")
    ((audit,), (usage,)) = (audited, used)
    return msgspec.json.decode(audit["body"]), msgspec.json.decode(usage["body"])


async def test_a_completed_turn_is_told_with_what_it_cost(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("CNRY-answer"))) as engine:
        chat_id = await a_chat(engine, WHO)
        await read_all((await engine.send(WHO, chat_id, "CNRY-question")).reader)
    audit, usage = await _endings(database)
    async with connected(database.superuser_dsn) as connection:
        turn = await connection.fetchrow("SELECT * FROM mini_chat.chat_turns")
    assert (audit["event_type"], audit["outcome"], audit["finish_reason"]) == ("turn_completed", "completed", "stop")
    assert audit["dedupe_key"] == f"{WHO.tenant_id}/{turn['id']}/ended"
    assert usage["dedupe_key"] == "/".join(key.hex for key in (WHO.tenant_id, turn["id"], turn["request_id"]))
    assert usage["actual_credits_micro"] == turn["settled_micro"] == audit["credits_micro"]
    assert usage["reserved_credits_micro"] == turn["reserved_micro"]
    assert usage["usage"] == {"input_tokens": turn["input_tokens"], "output_tokens": turn["output_tokens"]}
    assert (usage["terminal_state"], usage["billing_outcome"]) == ("completed", "completed")
    assert "CNRY" not in f"{audit} {usage}"


async def test_a_cancelled_turn_says_why(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("never", gate=anyio.sleep_forever))) as engine:
        chat_id = await a_chat(engine, WHO)
        await engine.send(WHO, chat_id)
        await engine.cancellation.cancel(WHO, chat_id, LATEST)
    audit, usage = await _endings(database)
    assert (audit["event_type"], audit["cancel_reason"]) == ("turn_cancelled", "cancel_requested")
    assert (usage["terminal_state"], usage["billing_outcome"]) == ("cancelled", "aborted")


async def test_a_turn_that_lost_its_owner_is_told_as_well(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("never", gate=anyio.sleep_forever))) as engine:
        await engine.send(WHO, await a_chat(engine, WHO))
        async with connected(database.superuser_dsn) as connection:
            await connection.execute("UPDATE mini_chat.chat_turns SET lease_until = now() - interval '1 s'")
        await engine.reaper.sweep()
        audit, usage = await _endings(database)
    assert (audit["event_type"], audit["error_code"]) == ("turn_failed", "orphan_timeout")
    assert (audit["effective_model"], usage["provider_id"]) == ("test-model", "test")
    assert usage["billing_outcome"] == "aborted"


async def test_a_replay_is_told_by_nobody(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a"))) as engine:
        command = SendCommand(target=await a_chat(engine, WHO), content="Hello", request_id=a_key())
        for _ in range(3):
            await read_all((await engine.turns.send(WHO, command, new_trace())).reader)
    await _endings(database)

"""The audit against rows that are wrong: each kind of fault is planted below all rules, and has to be found."""

from collections.abc import AsyncIterator
from typing import Final

import asyncpg
import pytest
from msgspec.structs import replace

from infra.postgres.audit.checks import ROW_CHECKS
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.integration.quotas.accounts import PREMIUM

pytestmark = pytest.mark.postgres
PLANTED: Final = (
    "UPDATE mini_chat.ledger_entries SET credits_micro = credits_micro + 1 WHERE kind = 'settle'",
    "UPDATE mini_chat.ledger_entries SET released_micro = released_micro - 1 WHERE kind = 'settle'",
    "UPDATE mini_chat.ledger_entries SET model = 'another'",
    "UPDATE mini_chat.ledger_entries SET input_tokens = input_tokens + 1 WHERE kind = 'settle'",
    "UPDATE mini_chat.ledger_entries SET outcome = 'failed' WHERE kind = 'settle'",
    "UPDATE mini_chat.ledger_entries SET usage_source = 'unknown' WHERE kind = 'settle'",
    "UPDATE mini_chat.ledger_entries SET chat_id = gen_random_uuid()",
    "UPDATE mini_chat.ledger_entries SET request_id = gen_random_uuid()",
    "UPDATE mini_chat.ledger_entries SET period_month = period_month - 31",
    "UPDATE mini_chat.ledger_entries SET tenant_bucket = NOT tenant_bucket",
    "UPDATE mini_chat.ledger_entries SET policy_version = policy_version + 1",
    "UPDATE mini_chat.ledger_entries SET user_id = gen_random_uuid()",
    "DELETE FROM mini_chat.ledger_entries WHERE kind = 'reserve'",
    "DELETE FROM mini_chat.ledger_entries WHERE kind = 'settle'",
    "UPDATE mini_chat.quota_buckets SET spent_micro = spent_micro + 1 WHERE bucket = 'tier:premium'",
    "UPDATE mini_chat.quota_buckets SET reserved_micro = reserved_micro + 1 WHERE period_type = 'monthly'",
    "UPDATE mini_chat.quota_buckets SET calls = calls + 1",
    "UPDATE mini_chat.quota_buckets SET input_tokens = input_tokens + 1 WHERE bucket = 'total'",
    "UPDATE mini_chat.quota_buckets SET output_tokens = output_tokens - 1 WHERE bucket = 'total'",
    "UPDATE mini_chat.quota_buckets SET web_search_held = 1 WHERE bucket = 'tier:premium'",
    "UPDATE mini_chat.quota_buckets SET code_interpreter_held = 1 WHERE bucket = 'total'",
    "UPDATE mini_chat.quota_buckets SET web_search_calls = 1 WHERE period_type = 'daily'",
    "UPDATE mini_chat.quota_buckets SET code_interpreter_calls = 1 WHERE period_type = 'monthly'",
    "UPDATE mini_chat.quota_buckets SET file_search_calls = 1",
    "UPDATE mini_chat.chat_turns SET web_search_calls = 1",
    "UPDATE mini_chat.chat_turns SET code_interpreter_calls = 1",
    "UPDATE mini_chat.chat_turns SET file_search_calls = 1",
    "UPDATE mini_chat.chat_turns SET web_search_held = 1",
    "UPDATE mini_chat.chat_turns SET went_over_from = 'another', fallback_model = 'yet another'",
    (
        "WITH entry AS (UPDATE mini_chat.ledger_entries SET model = 'another' WHERE kind = 'reserve')"
        " UPDATE mini_chat.chat_turns SET went_over_from = 'another', fallback_model = 'yet another'"
    ),
    "UPDATE mini_chat.chat_turns SET went_over_from = effective_model, fallback_model = effective_model",
    "UPDATE mini_chat.chat_turns SET web_search_calls = NULL",
    "UPDATE mini_chat.chat_turns SET provider_id = 'another'",
    "UPDATE mini_chat.chat_turns SET selected_model = 'another'",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{provider_id}', '\"another\"')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{selected_model}', '\"another\"')",
    "UPDATE mini_chat.usage_events SET body = body - 'tool_calls'",
    "DELETE FROM mini_chat.quota_buckets WHERE bucket = 'tier:premium'",
    "UPDATE mini_chat.chat_turns SET settled_micro = settled_micro + 1",
    "UPDATE mini_chat.chat_turns SET capped = NOT capped",
    "UPDATE mini_chat.chat_turns SET reserved_micro = reserved_micro + 1",
    "UPDATE mini_chat.chat_turns SET in_mult_micro = in_mult_micro * 2",
    "UPDATE mini_chat.chat_turns SET provider_started_at = NULL",
    "UPDATE mini_chat.chat_turns SET settlement = 'estimated'",
    "UPDATE mini_chat.chat_turns SET billing_outcome = 'aborted'",
    "DELETE FROM mini_chat.chat_turns",
    "DELETE FROM mini_chat.messages WHERE role = 'user'",
    "DELETE FROM mini_chat.messages WHERE role = 'assistant'",
    "UPDATE mini_chat.messages SET turn_id = gen_random_uuid() WHERE role = 'assistant'",
    "UPDATE mini_chat.messages SET is_partial = true WHERE role = 'assistant'",
    "UPDATE mini_chat.messages SET seq = seq + 2",
    "UPDATE mini_chat.chats SET message_count = message_count + 1",
    (
        "INSERT INTO mini_chat.thread_summaries (tenant_id, chat_id, version, body, covers_seq, token_estimate, model)"
        " SELECT tenant_id, id, 1, 'x', 1, 1, 'm' FROM mini_chat.chats"
    ),
    (
        "WITH gone AS (UPDATE mini_chat.chat_turns SET deleted_at = now() + interval '1 minute'),"
        " hidden AS (UPDATE mini_chat.messages SET deleted_at = now()),"
        " uncounted AS (UPDATE mini_chat.chats SET message_count = 0)"
        " INSERT INTO mini_chat.thread_summaries (tenant_id, chat_id, version, body, covers_seq, token_estimate, model)"
        " SELECT tenant_id, id, 1, 'x', 2, 1, 'm' FROM mini_chat.chats"
    ),
    "DELETE FROM mini_chat.usage_events",
    "DELETE FROM mini_chat.audit_events WHERE event_type = 'turn_completed'",
    "UPDATE mini_chat.usage_events SET turn_id = gen_random_uuid()",
    "UPDATE mini_chat.usage_events SET user_id = gen_random_uuid()",
    "UPDATE mini_chat.usage_events SET body = body - 'tenant_id'",
    "UPDATE mini_chat.usage_events SET body = body - 'dedupe_key'",
    "UPDATE mini_chat.usage_events SET body = body - 'terminal_state'",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{actual_credits_micro}', '1')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{usage,input_tokens}', '1')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{effective_model}', '\"another\"')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{capped}', 'true')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{tool_calls,web_search}', '1')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{tool_calls,file_search}', '1')",
    "UPDATE mini_chat.usage_events SET body = jsonb_set(body, '{billing_outcome}', '\"failed\"')",
    "UPDATE mini_chat.audit_events SET turn_id = gen_random_uuid() WHERE event_type = 'turn_completed'",
    "UPDATE mini_chat.audit_events SET body = body - 'tenant_id' WHERE event_type = 'turn_completed'",
    "UPDATE mini_chat.audit_events SET dedupe_key = 'another' WHERE event_type = 'turn_completed'",
)


@pytest.fixture
async def books(database: Database) -> AsyncIterator[asyncpg.Connection]:
    """A tenant with limits, and one completed turn of a premium model; nothing holds rows to rules."""
    who = a_user()
    model = replace(PREMIUM, is_default=True)
    async with connected(database.superuser_dsn) as connection:
        await connection.execute(
            "INSERT INTO mini_chat.quota_limits (tenant_id, scope, subject_id, total_daily_micro, version, updated_by)"
            " VALUES ($1, 'tenant', '00000000-0000-0000-0000-000000000000', 1000000000, 1, $2)",
            who.tenant_id,
            who.user_id,
        )
        async with running_engine(database.dsn, FunctionProvider(saying("Yes.")), models=(model,)) as engine:
            await read_all((await engine.send(who, await a_chat(engine, who))).reader)
        await connection.execute("SET session_replication_role = replica")
        yield connection


async def _found(connection: asyncpg.Connection) -> list[str]:
    return [name for name, query in ROW_CHECKS.items() if await connection.fetch(query)]


async def test_every_planted_fault_is_found(books: asyncpg.Connection) -> None:
    assert await _found(books) == []
    unseen = []
    for fault in PLANTED:
        planting = books.transaction()
        await planting.start()
        assert await books.execute(fault) != "UPDATE 0", fault
        if not await _found(books):
            unseen.append(fault)
        await planting.rollback()
    assert not unseen, "\n".join(unseen)

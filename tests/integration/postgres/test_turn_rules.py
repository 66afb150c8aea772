"""What the database itself refuses to believe about turns."""

from collections.abc import AsyncIterator
from typing import Any, Final
from uuid import uuid4

import asyncpg
import pytest

from tests.harness.postgres import Database
from tests.harness.rows import Tenant, acting_for, add_chat, add_running_turn, connected

TENANT: Final = Tenant()

CHANGE: Final = "UPDATE mini_chat.chat_turns SET "
END: Final = CHANGE + "lease_until = NULL, completed_at = now(), "


@pytest.fixture
async def service(database: Database) -> AsyncIterator[asyncpg.Connection]:
    async with connected(database.dsn) as connection:
        async with acting_for(connection, TENANT.tenant_id):
            await add_chat(connection, TENANT)
            await add_running_turn(connection, TENANT)
        yield connection


async def _refused_by(service: asyncpg.Connection, statement: str, *values: Any) -> str | None:
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as refused:
        async with acting_for(service, TENANT.tenant_id):
            await service.execute(statement, *values)
    name: str | None = refused.value.constraint_name
    return name


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("UPDATE mini_chat.chat_turns SET lease_until = NULL", "ck_turns_leased_while_running"),
        ("UPDATE mini_chat.chat_turns SET completed_at = now()", "ck_turns_completed_at"),
        (END + "state = 'completed', finish_reason = 'stop'", "ck_turns_completed"),
        (END + "state = 'failed'", "ck_turns_failed"),
        (END + "state = 'failed', error_code = 'bad_luck'", "chat_turns_error_code_check"),
        (
            END + "state = 'completed', finish_reason = 'stop', assistant_message_id = gen_random_uuid()",
            "fk_turns_assistant_message",
        ),
    ],
)
async def test_a_state_needs_what_belongs_to_it(service: asyncpg.Connection, statement: str, constraint: str) -> None:
    assert await _refused_by(service, statement) == constraint


async def test_a_turn_without_its_user_message_does_not_commit(service: asyncpg.Connection) -> None:
    assert await _refused_by(service, "UPDATE mini_chat.chat_turns SET user_message_id = $1", uuid4()) == (
        "fk_turns_user_message"
    )


async def test_a_chat_has_one_running_turn(service: asyncpg.Connection) -> None:
    second = Tenant(tenant_id=TENANT.tenant_id, chat_id=TENANT.chat_id)
    with pytest.raises(asyncpg.UniqueViolationError) as refused:
        async with acting_for(service, TENANT.tenant_id):
            await add_running_turn(service, second)
    assert refused.value.constraint_name == "ux_turns_one_running"


async def test_an_ended_turn_is_frozen(service: asyncpg.Connection) -> None:
    async with acting_for(service, TENANT.tenant_id):
        await service.execute(END + "state = 'failed', error_code = 'provider_error', output_tokens = 3")
    for change in (
        "state = 'running', lease_until = now(), completed_at = NULL",
        "error_code = 'internal_error'",
        "output_tokens = 4",
        "completed_at = now() + interval '1 s'",
        "usage_source = 'reported'",
    ):
        assert await _refused_by(service, CHANGE + change) == "tg_turns_frozen"


class TestAsOps:
    """Leases across tenants, and nothing of what people wrote."""

    @pytest.fixture
    async def ops(self, service: asyncpg.Connection) -> AsyncIterator[asyncpg.Connection]:
        async with service.transaction():
            await service.execute("SET LOCAL ROLE mini_chat_ops")
            yield service

    CLAIM: Final = """
        UPDATE mini_chat.chat_turns AS turn
        SET owner_id = gen_random_uuid(), owner_epoch = turn.owner_epoch + 1, lease_until = now() + interval '20 s',
            reap_attempts = reap_attempts + 1, next_reap_at = now() + interval '2 s'
        FROM (
            SELECT tenant_id, id FROM mini_chat.chat_turns
            WHERE state = 'running' AND next_reap_at <= now() FOR UPDATE SKIP LOCKED
        ) AS expired
        WHERE turn.tenant_id = expired.tenant_id AND turn.id = expired.id AND turn.state = 'running'
        RETURNING turn.tenant_id, turn.id, turn.user_id, turn.chat_id, turn.owner_epoch, turn.cancel_requested_at
    """

    SAVE: Final = """
        INSERT INTO mini_chat.turn_parts (tenant_id, turn_id, owner_epoch, part_no, last_event, body)
        VALUES ($1, $2, $3, 0, 2, 'Hel')
    """

    async def test_a_running_turn_is_claimed_whoever_it_belongs_to(self, ops: asyncpg.Connection) -> None:
        assert await ops.fetch(self.CLAIM) == [
            (TENANT.tenant_id, TENANT.turn_id, TENANT.user_id, TENANT.chat_id, 2, None)
        ]

    async def test_a_part_is_saved_for_the_owner_alone(self, ops: asyncpg.Connection) -> None:
        assert await ops.execute(self.SAVE, TENANT.tenant_id, TENANT.turn_id, 1) == "INSERT 0 1"
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with ops.transaction():
                await ops.execute(self.SAVE, TENANT.tenant_id, TENANT.turn_id, 2)

    async def test_an_ended_turn_is_neither_seen_nor_fed(self, service: asyncpg.Connection) -> None:
        async with acting_for(service, TENANT.tenant_id):
            await service.execute(END + "state = 'cancelled'")
        async with service.transaction():
            await service.execute("SET LOCAL ROLE mini_chat_ops")
            assert await service.fetch(self.CLAIM) == []
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await service.execute(self.SAVE, TENANT.tenant_id, TENANT.turn_id, 1)

    @pytest.mark.parametrize(
        "statement",
        [
            "SELECT content FROM mini_chat.messages",
            "SELECT title FROM mini_chat.chats",
            "SELECT body FROM mini_chat.turn_parts",
            "SELECT body_fingerprint FROM mini_chat.chat_turns",
            "UPDATE mini_chat.chat_turns SET state = 'cancelled'",
            "UPDATE mini_chat.chat_turns SET tenant_id = gen_random_uuid()",
            "DELETE FROM mini_chat.turn_parts",
        ],
    )
    async def test_content_and_state_stay_out_of_reach(self, ops: asyncpg.Connection, statement: str) -> None:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            async with ops.transaction():
                await ops.execute(statement)

    async def test_the_role_is_left_with_the_transaction(self, service: asyncpg.Connection) -> None:
        async with service.transaction():
            await service.execute("SET LOCAL ROLE mini_chat_ops")
        assert await service.fetchval("SELECT current_user") == "mini_chat_app"
        assert await service.fetchval("SELECT count(*) FROM mini_chat.chat_turns") == 0

"""A turn that is let in just before a switch is set, and can be found only after it took effect."""

from uuid import UUID

import anyio
import asyncpg
import pytest

from domain.streaming.events import TurnError
from domain.turns.models import TurnState
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import a_chat, a_user, read_all, running_engine
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.rows import connected, insert

pytestmark = pytest.mark.postgres

WAITING = "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock')"


async def test_a_turn_that_starts_while_it_is_switched_off_is_ended_at_once(database: Database) -> None:
    provider = FunctionProvider(saying("never", gate=anyio.sleep_forever))
    async with running_engine(database.dsn, provider) as engine, connected(database.superuser_dsn) as operator:
        who = a_user()
        chat_id = await a_chat(engine, who)
        events = []

        async def send() -> None:
            conversation = await engine.send(who, chat_id)
            events.extend(await read_all(conversation.reader))

        async with anyio.create_task_group() as group, operator.transaction():
            await operator.execute("SELECT FROM mini_chat.chats WHERE id = $1 FOR UPDATE", chat_id)
            group.start_soon(send)
            async with connected(database.superuser_dsn) as watching:
                await eventually(lambda: watching.fetchval(WAITING))
                await switch_everything_off(watching, who.user_id)
            await engine.board.refresh()
            assert engine.enforcement.look() == []
        *_, (_, last) = events
        assert isinstance(last, TurnError)
        assert (last.code, last.retryable) == ("generation_disabled", False)
        row = await operator.fetchrow("SELECT state, error_code FROM mini_chat.chat_turns")
        assert tuple(row) == (TurnState.FAILED.value, "generation_disabled")


async def switch_everything_off(connection: asyncpg.Connection, by: UUID) -> None:
    await insert(
        connection,
        "kill_switches",
        id=by,
        scope="global",
        target="*",
        version=1,
        mode="abort",
        reason="a test",
        created_by=by,
    )

"""One row that every turn of a tenant counts in, taken and given back as fast as the engine can.

TESTS_HOT_ROW_TURNS makes it last longer.
"""

import os
import time
from collections.abc import Sequence
from typing import Final

import anyio
import pytest

from domain.streaming.events import Done
from domain.streaming.ports import OnDisconnect
from domain.subject import Subject
from domain.telemetry.ports import Counted
from tests.fakes.providers import FunctionProvider, saying
from tests.fakes.telemetry import CountingTelemetry
from tests.harness.engine import Engine, a_chat, a_user, read_all, running_engine
from tests.harness.eventually import until
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.integration.quotas.accounts import audited, rows

TURNS: Final = int(os.environ.get("TESTS_HOT_ROW_TURNS", "300"))
AT_ONCE: Final = 20
CHARGED_MICRO: Final = 11 + 1
NOBODY: Final = "00000000-0000-0000-0000-000000000000"

ADA = a_user()
COLLEAGUES = tuple(a_user(tenant_id=ADA.tenant_id) for _ in range(AT_ONCE))

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(60 + TURNS // 10)]


async def limit_the_tenant(database: Database) -> None:
    """So much that nobody is refused; that there is a limit makes the tenant's counters count."""
    await rows(
        database,
        """INSERT INTO mini_chat.quota_limits (tenant_id, scope, subject_id, total_daily_micro, version, updated_by)
        VALUES ($1, 'tenant', $2, $3, 1, $2)""",
        ADA.tenant_id,
        NOBODY,
        10**15,
    )


async def deadlocks(database: Database) -> int:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    ((count,),) = await rows(database, query)
    return int(count)


async def converse(engine: Engine, whose: Sequence[Subject], turns: int) -> None:
    async def talk(who: Subject, turns: int) -> None:
        chat_id = await a_chat(engine, who)
        for _ in range(turns):
            events = await read_all((await engine.send(who, chat_id)).reader)
            assert isinstance(events[-1][1], Done)

    async with anyio.create_task_group() as talks:
        for place, who in enumerate(whose):
            talks.start_soon(talk, who, turns // len(whose) + (place < turns % len(whose)))


@pytest.mark.parametrize("whose", [COLLEAGUES, (ADA,) * AT_ONCE], ids=["many users", "one user at many chats"])
async def test_a_row_that_all_turns_count_in_loses_nothing_and_stops_nobody(
    database: Database, whose: Sequence[Subject]
) -> None:
    await limit_the_tenant(database)
    telemetry, before = CountingTelemetry(), await deadlocks(database)
    async with running_engine(database.dsn, FunctionProvider(saying("a")), telemetry=telemetry) as engine:
        started = time.monotonic()
        await converse(engine, whose, TURNS)
        print(f"{TURNS / (time.monotonic() - started):.0f} turns/s")  # noqa: T201 - asked for
    counters = "SELECT spent_micro, reserved_micro, calls FROM mini_chat.quota_buckets WHERE subject_id = $1"
    assert [tuple(row) for row in await rows(database, counters, NOBODY)] == [(TURNS * CHARGED_MICRO, 0, TURNS)] * 2
    for fault in (Counted.FINALIZE_RETRY, Counted.LOST_RACE, Counted.QUOTA_HOLD_MISMATCH):
        assert telemetry.of(fault) == {}
    assert await deadlocks(database) == before
    await audited(database)


async def test_no_counter_is_locked_while_a_provider_speaks(database: Database) -> None:
    await limit_the_tenant(database)
    gate = anyio.Event()
    async with running_engine(database.dsn, FunctionProvider(saying("a", gate=gate.wait))) as engine:
        for who in COLLEAGUES[:3]:
            await engine.send(who, await a_chat(engine, who), on_disconnect=OnDisconnect.CONTINUE)
        await until(lambda: all(actor.control.called for actor in engine.supervisor.running_turns()))
        async with connected(database.superuser_dsn) as connection, connection.transaction():
            locked = await connection.fetch("SELECT FROM mini_chat.quota_buckets FOR UPDATE NOWAIT")
            assert len(locked) == 2 * (3 + 1)
            await connection.fetch("SELECT FROM mini_chat.chat_turns FOR UPDATE NOWAIT")
        gate.set()
        await until(lambda: not engine.supervisor.running_turns())
    await audited(database)

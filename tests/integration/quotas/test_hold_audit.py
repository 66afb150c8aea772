"""What is held and belongs to no running turn is found and given back, and nothing else is touched."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest

from domain.clock import SystemClock
from domain.quotas.hold_audit import HoldAuditor
from domain.streaming.ports import OnDisconnect
from domain.telemetry.ports import SilentTelemetry
from infra.postgres.held_buckets import PostgresHeldBuckets
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import Engine, a_chat, a_user, read_all, running_engine
from tests.harness.postgres import Database
from tests.integration.quotas.accounts import HELLO_MICRO, audited, rows

pytestmark = pytest.mark.postgres

WHO = a_user()
_TOLD = "SELECT body FROM mini_chat.audit_events WHERE event_type = 'hold_corrected'"


@asynccontextmanager
async def auditing(engine: Engine) -> AsyncIterator[HoldAuditor]:
    limits = TransactionLimits()
    held = PostgresHeldBuckets(engine.pools.reserved, limits)
    yield HoldAuditor(held, PostgresUnitOfWork(engine.pools.requests, limits), SystemClock(), SilentTelemetry())


async def held(database: Database) -> list[int]:
    return [row[0] for row in await rows(database, "SELECT reserved_micro FROM mini_chat.quota_buckets ORDER BY 1")]


async def adjusted(database: Database) -> list[int]:
    query = "SELECT released_micro FROM mini_chat.ledger_entries WHERE kind = 'adjust' ORDER BY 1"
    return [row[0] for row in await rows(database, query)]


async def test_what_running_turns_hold_is_left_alone(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a", gate=anyio.sleep_forever))) as engine:
        for _ in range(3):
            await engine.send(WHO, await a_chat(engine, WHO), on_disconnect=OnDisconnect.CONTINUE)
        async with auditing(engine) as auditor:
            await auditor.sweep()
        assert await held(database) == [3 * HELLO_MICRO] * 2
    assert await adjusted(database) == []
    await audited(database)


@pytest.mark.parametrize("wrong_by", [5, -5])
async def test_what_differs_is_corrected_and_entered_in_the_ledger(database: Database, wrong_by: int) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a", gate=anyio.sleep_forever))) as engine:
        for who in (WHO, a_user()):
            await engine.send(who, await a_chat(engine, who), on_disconnect=OnDisconnect.CONTINUE)
        await rows(database, "UPDATE mini_chat.quota_buckets SET reserved_micro = reserved_micro + $1", wrong_by)
        async with auditing(engine) as auditor, anyio.create_task_group() as replicas:
            for _ in range(3):
                replicas.start_soon(auditor.sweep)
        assert await held(database) == [HELLO_MICRO] * 4
        assert await adjusted(database) == [wrong_by] * 4
    told = [msgspec.json.decode(row[0]) for row in await rows(database, _TOLD)]
    assert [body["difference_micro"] for body in told] == [wrong_by] * 4
    assert {(body["bucket"], body["period"]) for body in told} == {("total", "daily"), ("total", "monthly")}
    assert {(body["actor"]["type"], body["tenant_id"] == body["subject_id"]) for body in told} == {("system", False)}
    await audited(database)


async def test_what_nobody_holds_any_more_is_given_back(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a"))) as engine:
        await read_all((await engine.send(WHO, await a_chat(engine, WHO))).reader)
        await rows(database, "UPDATE mini_chat.quota_buckets SET reserved_micro = 7")
        async with auditing(engine) as auditor:
            await auditor.sweep()
    assert await held(database) == [0, 0]
    await audited(database)


async def test_an_audit_among_turns_that_come_and_go_corrects_nothing(database: Database) -> None:
    async with running_engine(database.dsn, FunctionProvider(saying("a", "b"))) as engine:
        finished = anyio.Event()

        async def converse() -> None:
            chat_id = await a_chat(engine, WHO)
            for _ in range(8):
                await read_all((await engine.send(WHO, chat_id)).reader)

        async def audit_on_and_on() -> None:
            async with auditing(engine) as auditor:
                while not finished.is_set():
                    await auditor.sweep()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(audit_on_and_on)
            async with anyio.create_task_group() as talks:
                for _ in range(4):
                    talks.start_soon(converse)
            finished.set()
    assert await adjusted(database) == []
    await audited(database)

"""Limits that administrators set: whose they are, which version they have, and from when they count."""

from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest
from msgspec.structs import replace

from domain.auth.policy import Policy, Role
from domain.clock import SystemClock
from domain.errors import Forbidden, QuotaExceeded, TenantNotFound, VersionConflict
from domain.ids import TenantId
from domain.quotas.administration import QuotaAdministration
from domain.quotas.limits import NO_LIMITS, Limits, TierLimits
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.engine import RULES, Engine, a_chat, a_user, running_engine
from tests.harness.postgres import Database
from tests.integration.quotas.accounts import HELLO_MICRO, audited, rows

pytestmark = pytest.mark.postgres

WHO = a_user()
ADMIN = replace(a_user(), roles=frozenset({Role.ADMIN}))


def daily(micro: int | None) -> Limits:
    return Limits(total=TierLimits(limit_daily_credits_micro=micro))


@pytest.fixture
async def engine(database: Database) -> AsyncIterator[Engine]:
    async with running_engine(database.dsn, FunctionProvider(saying("a", gate=anyio.sleep_forever))) as engine:
        yield engine


@pytest.fixture
def quotas(engine: Engine) -> QuotaAdministration:
    begin = PostgresUnitOfWork(engine.pools.requests, TransactionLimits())
    return QuotaAdministration(begin, Policy(), RULES, SystemClock())


async def test_a_limit_counts_from_the_next_send_on(
    engine: Engine, quotas: QuotaAdministration, database: Database
) -> None:
    await engine.send(WHO, await a_chat(engine, WHO))
    chat_id = await a_chat(engine, WHO)
    await quotas.set_user(ADMIN, WHO.tenant_id, WHO.user_id, daily(HELLO_MICRO), 0)
    with pytest.raises(QuotaExceeded):
        await engine.send(WHO, chat_id)
    raised = await quotas.set_user(ADMIN, WHO.tenant_id, WHO.user_id, daily(2 * HELLO_MICRO), 1)
    await engine.send(WHO, chat_id)
    (_, _, told, _) = raised.levels
    assert (raised.version, told.limit_micro, told.used_micro) == (2, 2 * HELLO_MICRO, HELLO_MICRO)
    await engine.supervisor.end_all()
    await audited(database)


async def test_users_inherit_what_their_tenant_says(engine: Engine, quotas: QuotaAdministration) -> None:
    await quotas.set_tenant(ADMIN, WHO.tenant_id, daily(10**9), daily(7), None)
    inherited = await quotas.user(ADMIN, WHO.tenant_id, WHO.user_id)
    assert (inherited.limits, inherited.version) == (NO_LIMITS, 0)
    assert inherited.effective == daily(7).or_else(RULES.defaults)
    assert (await quotas.tenant(ADMIN, WHO.tenant_id)).tenant_limits == daily(10**9)
    with pytest.raises(QuotaExceeded):
        await engine.send(WHO, await a_chat(engine, WHO))


@pytest.mark.parametrize("wrong", [1, 7])
async def test_a_stale_version_changes_nothing(quotas: QuotaAdministration, wrong: int) -> None:
    with pytest.raises(VersionConflict):
        await quotas.set_user(ADMIN, WHO.tenant_id, WHO.user_id, daily(1), wrong)
    await quotas.set_user(ADMIN, WHO.tenant_id, WHO.user_id, daily(2), 0)
    with pytest.raises(VersionConflict) as conflict:
        await quotas.set_user(ADMIN, WHO.tenant_id, WHO.user_id, daily(3), 0)
    assert conflict.value.members == {"current_version": 1}
    assert (await quotas.user(ADMIN, WHO.tenant_id, WHO.user_id)).limits == daily(2)


async def test_of_simultaneous_first_limits_one_wins(quotas: QuotaAdministration) -> None:
    outcomes: list[int] = []

    async def put(micro: int) -> None:
        try:
            await quotas.set_user(ADMIN, WHO.tenant_id, WHO.user_id, daily(micro), 0)
        except VersionConflict:
            return
        outcomes.append(micro)

    async with anyio.create_task_group() as administrators:
        for micro in range(5):
            administrators.start_soon(put, micro)
    (winner,) = outcomes
    assert (await quotas.user(ADMIN, WHO.tenant_id, WHO.user_id)).limits == daily(winner)


async def test_a_tenant_that_nobody_has_heard_of_is_not_found(quotas: QuotaAdministration) -> None:
    with pytest.raises(TenantNotFound):
        await quotas.tenant(ADMIN, TenantId(uuid4()))


async def test_nobody_else_reads_or_sets_them(quotas: QuotaAdministration) -> None:
    with pytest.raises(Forbidden):
        await quotas.tenant(WHO, WHO.tenant_id)
    with pytest.raises(Forbidden):
        await quotas.set_user(WHO, WHO.tenant_id, WHO.user_id, NO_LIMITS, None)


async def test_each_change_is_an_event_of_the_tenant_concerned(quotas: QuotaAdministration, database: Database) -> None:
    await quotas.set_user(ADMIN, WHO.tenant_id, WHO.user_id, daily(1), None)
    await quotas.set_tenant(ADMIN, WHO.tenant_id, NO_LIMITS, daily(1), None)
    events = await rows(
        database,
        "SELECT tenant_id, (body ->> 'actor_tenant_id')::uuid AS actors FROM mini_chat.audit_events"
        " WHERE event_type = 'limits_changed'",
    )
    assert [(event["tenant_id"], event["actors"]) for event in events] == [(WHO.tenant_id, ADMIN.tenant_id)] * 2

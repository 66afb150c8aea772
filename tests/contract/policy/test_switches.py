"""What the store of kill switches promises: versions are added in their order, and the newest one is the switch."""

from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import anyio
import pytest
from msgspec.structs import replace

from domain.audit.administration import platform_scope
from domain.ids import UserId, uuid7
from domain.pagination import PageQuery
from domain.switches.listing import SWITCH_LIST
from domain.switches.models import Switch, SwitchId, SwitchMode, SwitchName, SwitchScope
from domain.switches.ports import SwitchOrder
from domain.unit_of_work import Access, LostRace
from infra.postgres.engine import PoolLimits, create_pools
from infra.postgres.policy_reader import PostgresPolicyReader
from infra.postgres.transaction import TransactionLimits
from infra.postgres.unit_of_work import PostgresUnitOfWork
from tests.harness.engine import a_user
from tests.harness.postgres import Database

pytestmark = pytest.mark.postgres

OLGA, OTTO = UserId(uuid4()), UserId(uuid4())
PLATFORM: Final = platform_scope(a_user())
EVERYTHING: Final = SwitchName(SwitchScope.GLOBAL, None)
MODEL: Final = SwitchName(SwitchScope.MODEL, "m")
NAMES: Final = (EVERYTHING, MODEL, SwitchName(SwitchScope.MODEL, "n"), SwitchName(SwitchScope.PROVIDER, "m"))


class Store:
    """`reader` looks from outside of any transaction, as every process does."""

    def __init__(self, begin: PostgresUnitOfWork, reader: PostgresPolicyReader) -> None:
        self.begin = begin
        self.reader = reader

    async def set(self, name: SwitchName = MODEL, by: UserId = OLGA, **members: Any) -> Switch:
        usual: dict[str, Any] = {"name": name, "mode": SwitchMode.ABORT, "reason": "why"}
        order = SwitchOrder(**(usual | members))
        async with self.begin(PLATFORM) as tx:
            await tx.switches.await_turn()
            return await tx.switches.set(order, await tx.switches.newest(name), by, a_switch_id())

    async def clear(self, switch: Switch, by: UserId = OTTO) -> Switch:
        async with self.begin(PLATFORM) as tx:
            await tx.switches.await_turn()
            return await tx.switches.clear(switch, by)

    async def newest(self, name: SwitchName = MODEL) -> Switch | None:
        async with self.begin(PLATFORM, Access.READ) as tx:
            return await tx.switches.newest(name)

    async def listed(self, *, cleared: bool, limit: int = 100) -> list[Switch]:
        """All pages, one after the other."""
        found, query = list[Switch](), PageQuery(limit=limit, order=SWITCH_LIST.default_order)
        while True:
            async with self.begin(PLATFORM, Access.READ) as tx:
                page = await tx.switches.page(query, cleared=cleared)
            found.extend(page.items)
            if page.next is None:
                return found
            query = replace(query, position=page.next)


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    limits = PoolLimits(size=4, reserved_size=1, acquire=timedelta(seconds=5), statement=timedelta(seconds=5))
    pools = create_pools(database.dsn, limits, application_name="contract")
    try:
        yield Store(
            PostgresUnitOfWork(pools.requests, TransactionLimits()),
            PostgresPolicyReader(pools.reserved, TransactionLimits()),
        )
    finally:
        await pools.dispose()


def a_switch_id() -> SwitchId:
    return SwitchId(uuid7(datetime.now(UTC)))


async def test_nothing_is_switched_off_at_first(store: Store) -> None:
    assert await store.newest() is None
    assert await store.listed(cleared=True) == []
    standing = await store.reader.standing(None)
    assert standing is not None
    assert (standing.revision, standing.switches) == (0, [])
    assert await store.reader.standing(0) is None


async def test_a_switch_says_what_was_ordered_and_by_whom(store: Store) -> None:
    ends = datetime(2030, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
    switch = await store.set(mode=SwitchMode.ADMISSION, reason="why ü", expires_at=ends)
    told = (switch.name, switch.mode, switch.reason, switch.version, switch.created_by, switch.expires_at)
    assert told == (MODEL, SwitchMode.ADMISSION, "why ü", 1, OLGA, ends)
    assert switch.cleared_at is None
    assert abs((switch.created_at - datetime.now(UTC)).total_seconds()) < 60
    assert await store.newest() == switch
    async with store.begin(PLATFORM, Access.READ) as tx:
        assert await tx.switches.find(switch.id) == switch
        assert await tx.switches.find(a_switch_id()) is None


async def test_a_switch_that_is_set_again_stays_itself_in_another_version(store: Store) -> None:
    first, second = await store.set(), await store.set(by=OTTO, reason="now")
    assert (second.id, second.version, second.reason, second.created_by) == (first.id, 2, "now", OTTO)
    async with store.begin(PLATFORM, Access.READ) as tx:
        assert await tx.switches.find(first.id) == second
    assert await store.listed(cleared=False) == [second]


async def test_a_cleared_switch_keeps_what_it_said_and_can_be_set_again(store: Store) -> None:
    first = await store.set()
    cleared = await store.clear(first)
    assert cleared == replace(first, version=2, cleared_at=cleared.cleared_at)
    assert cleared.cleared_at is not None
    assert await store.newest() == cleared
    assert (await store.listed(cleared=False), await store.listed(cleared=True)) == ([], [cleared])
    again = await store.set()
    assert (again.id, again.version, again.cleared_at) == (first.id, 3, None)
    assert await store.listed(cleared=True) == [again]


async def test_names_are_told_apart_by_scope_and_target(store: Store) -> None:
    switches = [await store.set(name) for name in NAMES]
    assert len({switch.id for switch in switches}) == len(NAMES)
    assert [await store.newest(name) for name in NAMES] == switches


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_pages_tell_each_switch_once_the_youngest_first(store: Store, limit: int) -> None:
    switches = [await store.set(name) for name in NAMES]
    switches[1] = await store.clear(switches[1])
    assert await store.listed(cleared=True, limit=limit) == switches[::-1]
    assert await store.listed(cleared=False, limit=limit) == [switches[3], switches[2], switches[0]]


async def test_of_one_version_there_is_one(store: Store) -> None:
    first = await store.set()
    await store.set()
    with pytest.raises(LostRace):
        await store.clear(first)
    assert [switch.version for switch in await store.listed(cleared=True)] == [2]


async def test_whoever_changes_switches_waits_for_who_does_already(store: Store) -> None:
    async with anyio.create_task_group() as tasks:
        for _ in range(12):
            tasks.start_soon(store.set)
    newest = await store.newest()
    assert newest is not None
    assert newest.version == 12


async def test_every_process_sees_what_was_not_cleared_and_only_when_it_has_changed(store: Store) -> None:
    past = datetime.now(UTC) - timedelta(days=1)
    kept, gone, ended = await store.set(EVERYTHING), await store.set(), await store.set(NAMES[3], expires_at=past)
    seen = await store.reader.standing(None)
    assert seen is not None
    assert sorted(seen.switches, key=lambda each: each.created_at) == [kept, gone, ended]
    assert 0 <= seen.age_s < 60
    assert await store.reader.standing(seen.revision) is None

    await store.clear(gone)
    after = await store.reader.standing(seen.revision)
    assert after is not None
    assert after.revision > seen.revision
    assert sorted(after.switches, key=lambda each: each.created_at) == [kept, ended]


async def test_what_was_not_committed_was_never_switched_off(store: Store) -> None:
    with suppress(ZeroDivisionError):
        async with store.begin(PLATFORM) as tx:
            await tx.switches.set(SwitchOrder(name=MODEL, mode=SwitchMode.ABORT, reason="x"), None, OLGA, a_switch_id())
            raise ZeroDivisionError
    assert await store.newest() is None
    assert await store.reader.standing(0) is None

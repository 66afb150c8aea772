"""A tenant has so many places and no more; who waits in vain is sent away for longer and longer."""

from uuid import uuid4

import anyio
import pytest

from domain.ids import TenantId
from infra.jobs.lanes import LaneFull, TenantLanes

ANN, BOB = TenantId(uuid4()), TenantId(uuid4())


class Held:
    """Jobs that stay in their lane until they are let go."""

    def __init__(self, lanes: TenantLanes) -> None:
        self._lanes = lanes
        self.inside = 0
        self._go = anyio.Event()

    async def hold(self, tenant: TenantId) -> None:
        async with self._lanes.entered(tenant):
            self.inside += 1
            await self._go.wait()
            self.inside -= 1

    def let_go(self) -> None:
        self._go.set()


async def enter(lanes: TenantLanes, tenant: TenantId) -> None:
    async with lanes.entered(tenant):
        pass


async def test_the_places_of_one_tenant_are_not_those_of_another() -> None:
    lanes = TenantLanes(2)
    held = Held(lanes)
    async with anyio.create_task_group() as tasks:
        for _ in range(2):
            tasks.start_soon(held.hold, ANN)
        await anyio.wait_all_tasks_blocked()
        assert held.inside == 2
        with pytest.raises(LaneFull):
            await enter(lanes, ANN)
        await enter(lanes, BOB)
        held.let_go()
    await enter(lanes, ANN)


async def test_a_job_waits_for_the_others_of_its_tenant_when_they_are_quick() -> None:
    lanes = TenantLanes(1)
    held = Held(lanes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(held.hold, ANN)
        await anyio.wait_all_tasks_blocked()
        tasks.start_soon(enter, lanes, ANN)
        await anyio.wait_all_tasks_blocked()
        held.let_go()


async def test_after_one_has_waited_in_vain_nobody_waits_and_pauses_grow() -> None:
    lanes = TenantLanes(1)
    held = Held(lanes)
    pauses = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(held.hold, ANN)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(LaneFull):
            await enter(lanes, ANN)
        for _ in range(3):
            with pytest.raises(LaneFull) as full, anyio.fail_after(0.05):
                await enter(lanes, ANN)
            pauses.append(full.value.pause)
        held.let_go()
    assert pauses == sorted(set(pauses))
    await enter(lanes, ANN)


async def test_a_job_that_is_interrupted_leaves_its_place() -> None:
    lanes = TenantLanes(1)
    held = Held(lanes)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(held.hold, ANN)
        await anyio.wait_all_tasks_blocked()
        tasks.cancel_scope.cancel()
    await enter(lanes, ANN)

"""Loops that are woken before their time."""

from datetime import timedelta

import anyio

from app.periodic import Bell, every
from tests.harness.eventually import until

NEVER = timedelta(hours=1)


async def test_a_bell_makes_the_next_round_come_early_and_each_ring_only_one() -> None:
    bell, rounds = Bell(), []

    async def work() -> None:
        rounds.append(anyio.current_time())

    async with anyio.create_task_group() as group:
        group.start_soon(every, NEVER, "test", work, bell)
        await until(lambda: len(rounds) == 1)
        bell.ring()
        await until(lambda: len(rounds) == 2)
        await anyio.wait_all_tasks_blocked()
        assert len(rounds) == 2
        group.cancel_scope.cancel()


async def test_a_bell_that_rings_during_a_round_is_not_missed() -> None:
    bell, rounds = Bell(), 0

    async def work() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            bell.ring()

    async with anyio.create_task_group() as group:
        group.start_soon(every, NEVER, "test", work, bell)
        await until(lambda: rounds == 2)
        group.cancel_scope.cancel()

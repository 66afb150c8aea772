"""Whatever fills the port Bus: the twin of one loop, and Redis."""

from collections.abc import AsyncIterator
from typing import TypeAlias
from uuid import uuid4

import anyio
import pytest

from domain.ids import OwnerId
from domain.turns.bus import FollowTurn, Inbox, PolicyChanged, StopTurn
from infra.local.bus import Exchange
from tests.contract.bus.processes import PATIENCE, Process, a_follow, a_stop, on_one_loop, over_redis
from tests.harness.redis import RedisServer

Two: TypeAlias = tuple[Process, Process]


@pytest.fixture(params=["one loop", pytest.param("redis", marks=pytest.mark.redis)])
async def two(request: pytest.FixtureRequest) -> AsyncIterator[Two]:
    if request.param == "one loop":
        exchange = Exchange()
        yield on_one_loop(exchange), on_one_loop(exchange)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    async with over_redis(server.url, PATIENCE) as one, over_redis(server.url, PATIENCE) as other:
        yield one, other


async def test_a_message_reaches_its_owner_unchanged_and_nobody_else(two: Two) -> None:
    one, other = two
    stop, follow = a_stop(epoch=2**40), a_follow(position=399)
    await one.bus.tell(other.owner, stop)
    await one.bus.tell(other.owner, follow)
    await other.hears(stop)
    await other.hears(follow)
    assert other.heard == [stop, follow]
    assert one.heard == []


async def test_a_process_can_tell_itself(two: Two) -> None:
    one, _ = two
    message = a_follow()
    await one.bus.tell(one.owner, message)
    await one.hears(message)


async def test_what_is_told_to_all_reaches_every_process_and_the_teller_too(two: Two) -> None:
    one, other = two
    message = PolicyChanged()
    await one.broadcast.tell_all(message)
    await one.hears(message)
    await other.hears(message)


async def test_a_message_for_an_owner_that_is_gone_is_lost_quietly(two: Two) -> None:
    one, other = two
    await one.bus.tell(OwnerId(uuid4()), a_stop())
    after = a_stop()
    await one.bus.tell(other.owner, after)
    await other.hears(after)
    assert other.heard == [after]


async def test_messages_of_many_tasks_all_arrive(two: Two) -> None:
    one, other = two
    messages = [a_stop(epoch) for epoch in range(1, 101)]
    async with anyio.create_task_group() as tasks:
        for message in messages:
            tasks.start_soon(one.bus.tell, other.owner, message)
    for message in messages:
        await other.hears(message)
    assert len(other.heard) == len(messages)


async def test_each_message_goes_to_the_handler_of_its_kind() -> None:
    inbox, stops = Inbox(), list[StopTurn]()
    inbox.on(StopTurn, stops.append)
    stop, nobody_asked_for = a_stop(), a_follow()
    inbox.deliver(nobody_asked_for)
    inbox.deliver(stop)
    assert stops == [stop]
    follows = list[FollowTurn]()
    inbox.on(FollowTurn, follows.append)
    inbox.deliver(nobody_asked_for)
    assert (stops, follows) == ([stop], [nobody_asked_for])

"""Reading a turn through its row: what there is at once, looks at intervals, the rest at the end."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from uuid import UUID

import anyio
import pytest

from domain.errors import ChatNotFound, DomainError, RateLimited, ServiceUnavailable
from domain.ids import TurnId
from domain.streaming.events import Numbered
from domain.turns.row_follower import RowFollower, RowFollowers
from tests.unit.domain.streaming.samples import DELTA, DONE, STARTED, read_all

SOON = timedelta(milliseconds=2)
HOUR = timedelta(hours=1)
TURN, OTHER = TurnId(UUID(int=1)), TurnId(UUID(int=2))
REST: list[Numbered] = [(6, DELTA), (7, DONE)]


class Row:
    """Looked at by a follower: answers one after the other, the last one for ever."""

    def __init__(self, *answers: Sequence[Numbered] | DomainError | None) -> None:
        self._answers = list(answers)
        self.looks = 0

    async def __call__(self) -> Sequence[Numbered] | None:
        self.looks += 1
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, DomainError):
            raise answer
        return answer


def a_follower(row: Row, first: Sequence[Numbered] = (), *, interval: timedelta = SOON) -> RowFollower:
    return RowFollowers(interval, HOUR).follow(TURN, first, row)


@pytest.fixture(autouse=True)
async def in_time() -> AsyncIterator[None]:
    with anyio.fail_after(5):
        yield


async def test_what_there_is_comes_at_once_and_the_rest_when_the_turn_has_ended() -> None:
    row = Row(None, None, REST)
    follower = a_follower(row, [(1, STARTED)])
    assert await follower.receive() == [(1, STARTED)]
    assert row.looks == 0
    assert await read_all(follower) == REST
    assert row.looks == 3


async def test_a_turn_that_ended_meanwhile_is_not_waited_for() -> None:
    assert await read_all(a_follower(Row(REST), interval=HOUR)) == REST


@pytest.mark.parametrize("gone", [(), ChatNotFound()])
async def test_where_nothing_is_left_to_follow_it_ends_without_an_event(gone: Sequence[Numbered] | DomainError) -> None:
    follower = a_follower(Row(None, gone))
    assert await read_all(follower) == []
    assert follower.ended


async def test_a_database_that_is_out_of_reach_is_asked_again() -> None:
    row = Row(ServiceUnavailable(), None, ServiceUnavailable(), REST)
    assert await read_all(a_follower(row)) == REST


async def test_waking_returns_with_nothing_and_does_not_look() -> None:
    row = Row(None)
    follower = a_follower(row, interval=HOUR)
    assert await follower.receive() == ()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.receive)
        await anyio.wait_all_tasks_blocked()
        follower.wake()
    assert row.looks == 1
    assert not follower.ended


async def test_leaving_ends_a_wait() -> None:
    follower = a_follower(Row(None), interval=HOUR)
    await follower.receive()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.receive)
        await anyio.wait_all_tasks_blocked()
        follower.leave()
        follower.leave()
    assert follower.ended
    assert await follower.receive() == ()


async def test_a_cancelled_wait_loses_nothing() -> None:
    follower = a_follower(Row(None, REST))
    await follower.receive()
    with anyio.move_on_after(0):
        await follower.receive()
    assert await read_all(follower) == REST


async def test_a_turn_has_at_most_eight_followers_here() -> None:
    followers = RowFollowers(SOON, HOUR)
    first, *_ = [followers.follow(TURN, [], Row(None)) for _ in range(8)]
    with pytest.raises(RateLimited):
        followers.follow(TURN, [], Row(None))
    followers.follow(OTHER, [], Row(None))
    first.leave()
    followers.follow(TURN, [], Row(None))


async def test_who_never_begins_to_read_is_no_follower_for_long() -> None:
    followers = RowFollowers(SOON, SOON)
    idle = [followers.follow(TURN, [], Row(None)) for _ in range(8)]
    while not all(follower.ended for follower in idle):  # noqa: ASYNC110 - a timer rings no event
        await anyio.sleep(0.001)
    reading = followers.follow(TURN, [], Row(None))
    await reading.receive()
    await anyio.sleep(2 * SOON.total_seconds())
    assert not reading.ended


async def test_a_process_that_stops_ends_all_of_them_without_a_terminal_event() -> None:
    followers = RowFollowers(HOUR, HOUR)
    following = [followers.follow(turn, [(1, STARTED)], Row(None)) for turn in (TURN, TURN, OTHER)]
    followers.end_all()
    assert [await read_all(follower) for follower in following] == [[], [], []]

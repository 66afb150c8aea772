"""Following a turn of another process: what its owner shows, looks at its row, and what is told of both."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import anyio
import msgspec
import pytest

from domain.errors import ChatNotFound, DomainError, RateLimited, ServiceUnavailable
from domain.ids import OwnerId, TenantId, TurnId
from domain.streaming.events import Delta, Numbered
from domain.streaming.models import StreamLimits
from domain.turns.bus import FollowTurn, Inbox, ShowEvents
from domain.turns.follower import Followed, Follower
from domain.turns.followers import Followers
from domain.turns.shown_events import ShownEvent, shown
from infra.local.bus import Exchange, LocalBus
from tests.unit.domain.streaming.samples import CITATIONS, DELTA, DONE, ERROR, EVENTS, STARTED, TOOL, numbers, read_all

SOON = timedelta(milliseconds=2)
HOUR = timedelta(hours=1)
TENANT, OWNER = TenantId(UUID(int=9)), OwnerId(uuid4())
TURN, OTHER = (Followed(TENANT, TurnId(UUID(int=n)), 1) for n in (1, 2))
TOLD: list[Numbered] = [(1, STARTED), (6, Delta("text", "abcde")), (7, DONE)]


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


class Elsewhere:
    """The followers of one process, and what the owner of the turn hears from them."""

    def __init__(self, *, interval: timedelta = SOON, reader_deadline: timedelta = HOUR) -> None:
        exchange, inbox = Exchange(), Inbox()
        self.asked: list[int] = []
        self.ourselves = OwnerId(uuid4())
        bus = LocalBus(exchange, self.ourselves, Inbox())
        LocalBus(exchange, OWNER, inbox)
        inbox.on(FollowTurn, self._note)
        self.followers = Followers(bus, self.ourselves, interval, StreamLimits(reader_deadline=reader_deadline))

    def _note(self, word: FollowTurn) -> None:
        assert word.reader == self.ourselves
        self.asked.append(word.position)

    def follow(self, row: Row, position: int = 0, turn: Followed = TURN) -> Follower:
        return self.followers.follow(turn, OWNER, [] if position else [(1, STARTED)], position, row)

    def show(self, *events: Numbered, turn: Followed = TURN, asked: int = 1, reach: int | None = None) -> None:
        word = ShowEvents(
            tenant_id=turn.tenant_id,
            turn_id=turn.turn_id,
            epoch=turn.epoch,
            asked=asked,
            reach=events[-1][0] if reach is None else reach,
            events=shown(events),
        )
        self.followers.show(word)


def a_follower(row: Row, position: int = 0, *, interval: timedelta = SOON) -> Follower:
    return Elsewhere(interval=interval).follow(row, position)


async def settled(follower: Follower) -> None:
    """Once it has told its first event, asked its owner and looked at its row."""
    for _ in range(3):
        await follower.receive()


@pytest.fixture(autouse=True)
async def in_time() -> AsyncIterator[None]:
    with anyio.fail_after(5):
        yield


async def test_what_there_is_comes_at_once_and_the_rest_when_the_turn_has_ended() -> None:
    row = Row(None, None, TOLD)
    follower = a_follower(row)
    assert await follower.receive() == [(1, STARTED)]
    assert row.looks == 0
    assert await read_all(follower) == TOLD[1:]
    assert row.looks == 3


@pytest.mark.parametrize(("position", "told"), [(1, [6, 7]), (3, [1, 6, 7]), (6, [7]), (7, [])])
async def test_at_the_end_a_position_gets_what_a_finished_turn_tells_it(position: int, told: list[int]) -> None:
    assert numbers(await read_all(a_follower(Row(None, TOLD), position))) == told


@pytest.mark.parametrize("gone", [(), ChatNotFound()])
async def test_where_nothing_is_left_to_follow_it_ends_without_an_event(gone: Sequence[Numbered] | DomainError) -> None:
    assert await read_all(a_follower(Row(None, gone), position=3)) == []


async def test_a_database_that_is_out_of_reach_is_asked_again() -> None:
    row = Row(ServiceUnavailable(), None, ServiceUnavailable(), TOLD)
    assert await read_all(a_follower(row)) == TOLD


async def test_waking_returns_with_nothing_and_does_not_look() -> None:
    row = Row(None)
    follower = a_follower(row, interval=HOUR)
    await settled(follower)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.receive)
        await anyio.wait_all_tasks_blocked()
        follower.wake()
    assert row.looks == 1
    assert not follower.ended


async def test_leaving_ends_a_wait() -> None:
    follower = a_follower(Row(None), interval=HOUR)
    await settled(follower)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follower.receive)
        await anyio.wait_all_tasks_blocked()
        follower.leave()
        follower.leave()
    assert follower.ended
    assert await follower.receive() == []


async def test_a_cancelled_wait_loses_nothing() -> None:
    follower = a_follower(Row(None, TOLD))
    await settled(follower)
    with anyio.move_on_after(0):
        await follower.receive()
    assert await read_all(follower) == TOLD[1:]


async def test_a_turn_has_at_most_eight_followers_here() -> None:
    elsewhere = Elsewhere()
    first, *_ = [elsewhere.follow(Row(None)) for _ in range(8)]
    with pytest.raises(RateLimited):
        elsewhere.follow(Row(None))
    elsewhere.follow(Row(None), turn=OTHER)
    first.leave()
    elsewhere.follow(Row(None))


async def test_who_never_begins_to_read_is_no_follower_for_long() -> None:
    elsewhere = Elsewhere(reader_deadline=SOON)
    idle = [elsewhere.follow(Row(None)) for _ in range(8)]
    while not all(follower.ended for follower in idle):  # noqa: ASYNC110 - a timer rings no event
        await anyio.sleep(0.001)
    reading, unread = elsewhere.follow(Row(None)), elsewhere.follow(Row(None))
    await reading.receive()
    while not unread.ended:  # noqa: ASYNC110 - a timer rings no event
        await anyio.sleep(0.001)
    assert not reading.ended


async def test_a_process_that_stops_ends_all_of_them_without_a_terminal_event() -> None:
    elsewhere = Elsewhere()
    following = [elsewhere.follow(Row(None), turn=turn) for turn in (TURN, TURN, OTHER)]
    elsewhere.followers.end_all()
    assert [await read_all(follower) for follower in following] == [[], [], []]


async def test_the_owner_is_asked_for_what_follows_the_position() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    await settled(elsewhere.follow(Row(None)))
    await settled_at(elsewhere.follow(Row(None), position=7))
    assert elsewhere.asked == [1, 7]


async def test_until_something_is_shown_the_owner_is_asked_at_each_interval() -> None:
    elsewhere = Elsewhere()
    follower = elsewhere.follow(Row(None), position=2)
    while len(elsewhere.asked) < 4:
        await follower.receive()
    elsewhere.show((3, DELTA))
    while len(elsewhere.asked) < 5:
        await follower.receive()
    elsewhere.show((4, ERROR))
    assert elsewhere.asked == [2, 2, 2, 2, 3]


async def settled_at(follower: Follower) -> None:
    """As `settled`, for one that has no first event."""
    for _ in range(2):
        await follower.receive()


async def test_what_the_owner_shows_is_told_without_a_look_at_the_row() -> None:
    row, elsewhere = Row(None), Elsewhere(interval=HOUR)
    follower = elsewhere.follow(row)
    await settled(follower)
    elsewhere.show((2, DELTA), (3, TOOL))
    assert await follower.receive() == [(2, DELTA), (3, TOOL)]
    elsewhere.show((4, CITATIONS), (5, DONE))
    assert await read_all(follower) == [(4, CITATIONS), (5, DONE)]
    assert row.looks == 1


async def test_what_is_shown_twice_is_told_once() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position=2)
    await settled_at(follower)
    for _ in range(2):
        elsewhere.show((2, DELTA), (3, DELTA))
    elsewhere.show((3, DELTA), (4, ERROR))
    assert numbers(await read_all(follower)) == [3, 4]
    elsewhere.show((5, DELTA))
    assert follower.ended


async def test_a_gap_is_asked_for_and_never_told() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position=2)
    await settled_at(follower)
    elsewhere.show((3, DELTA))
    assert numbers(await follower.receive()) == [3]
    elsewhere.show((5, DELTA), (6, ERROR))
    while len(elsewhere.asked) < 2:
        assert await follower.receive() == []
    assert elsewhere.asked == [2, 3]
    elsewhere.show((4, DELTA), (5, DELTA), (6, ERROR))
    assert numbers(await read_all(follower)) == [4, 5, 6]


async def test_all_text_at_once_is_appended_where_none_was_told() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None))
    await settled(follower)
    elsewhere.show((1, STARTED), (2000, DELTA))
    elsewhere.show((2001, DONE))
    assert numbers(await read_all(follower)) == [2000, 2001]


async def test_all_text_at_once_replaces_what_an_earlier_connection_told() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position=5)
    await settled_at(follower)
    elsewhere.show((1, STARTED), (2000, DELTA), (2001, DONE), asked=5)
    assert numbers(await read_all(follower)) == [1, 2000, 2001]


async def test_all_text_at_once_for_another_follower_is_not_told_and_what_is_missing_is_asked_for() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position=5)
    await settled_at(follower)
    elsewhere.show((6, DELTA))
    assert numbers(await follower.receive()) == [6]
    elsewhere.show((1, STARTED), (8, DELTA))
    while len(elsewhere.asked) < 2:
        assert await follower.receive() == []
    assert elsewhere.asked == [5, 6]
    elsewhere.show((7, DELTA), (8, DELTA), (9, ERROR), asked=6)
    assert numbers(await read_all(follower)) == [7, 8, 9]


async def test_all_text_at_once_for_another_follower_asks_for_nothing_where_nothing_is_missing() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position=8)
    await settled_at(follower)
    elsewhere.show((1, STARTED), (8, DELTA))
    elsewhere.show((9, ERROR))
    assert numbers(await read_all(follower)) == [9]
    assert elsewhere.asked == [8]


@pytest.mark.parametrize(("position", "told"), [(0, [1, 2001, 2002]), (1, [2001, 2002]), (5, [1, 2001, 2002])])
async def test_a_start_without_text_says_how_far_it_reaches(position: int, told: list[int]) -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position)
    elsewhere.show((1, STARTED), asked=max(position, 1), reach=2000)
    elsewhere.show((2001, DELTA), (2002, DONE))
    assert numbers(await read_all(follower)) == told


async def test_after_a_start_without_text_the_row_tells_the_text() -> None:
    row, elsewhere = Row(None, [(1, STARTED), (2500, DELTA), (2501, DONE)]), Elsewhere()
    follower = elsewhere.follow(row)
    elsewhere.show((1, STARTED), reach=2000)
    assert numbers(await read_all(follower)) == [1, 2500, 2501]


async def test_where_text_can_neither_be_appended_nor_replaced_it_ends_without_a_terminal_event() -> None:
    shown_late, found_late = Elsewhere(), Elsewhere()
    first, second = shown_late.follow(Row(None)), found_late.follow(Row(None, None, TOLD))
    for elsewhere in (shown_late, found_late):
        elsewhere.show((2, DELTA))
    shown_late.show((1, STARTED), (2000, DELTA), asked=2)
    assert numbers(await read_all(first)) == numbers(await read_all(second)) == [1, 2]


async def test_an_end_that_was_not_shown_is_found_in_the_row() -> None:
    elsewhere = Elsewhere()
    follower = elsewhere.follow(Row(None, TOLD), position=5)
    elsewhere.show((6, DELTA))
    assert await read_all(follower) == [(6, DELTA), (7, DONE)]


async def test_what_does_not_fit_puts_off_no_look_at_the_row() -> None:
    elsewhere = Elsewhere(interval=timedelta(milliseconds=50))
    follower = elsewhere.follow(Row(None, None, TOLD))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read_all, follower)
        while not follower.ended:
            elsewhere.show((4, DELTA))
            await anyio.sleep(0.005)


async def test_what_is_shown_of_another_turn_or_under_another_owner_is_not_told() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position=2)
    others = (
        OTHER,
        Followed(TENANT, TURN.turn_id, 2),
        Followed(TenantId(UUID(int=8)), TURN.turn_id, 1),
    )
    for turn in others:
        elsewhere.show((3, DELTA), turn=turn)
    elsewhere.show((3, ERROR))
    assert await read_all(follower) == [(3, ERROR)]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("of_tomorrow", b"{}"),
        ("tool", b'{"phase":"start","name":"x","details":{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}}"),
        ("tool", b'{"phase":"start","name":"x","details":{"a":"\xff"}}'),
    ],
    ids=["kind", "depth", "encoding"],
)
async def test_what_is_not_understood_is_left_out(caplog: pytest.LogCaptureFixture, kind: str, data: bytes) -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position=2)
    unknown = (ShownEvent(3, kind, msgspec.Raw(data)),)
    turn: dict[str, Any] = {"tenant_id": TENANT, "turn_id": TURN.turn_id, "epoch": TURN.epoch}
    elsewhere.followers.show(ShowEvents(**turn, asked=2, reach=3, events=unknown))
    elsewhere.show((3, ERROR))
    assert await read_all(follower) == [(3, ERROR)]
    assert [record.msg for record in caplog.records] == ["shown_events_not_understood"]


async def test_a_reader_that_takes_nothing_is_shown_a_bounded_number_of_events() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    follower = elsewhere.follow(Row(None), position=2)
    for number in range(3, 5000):
        elsewhere.show((number, DELTA))
    assert len(await follower.receive()) == 1024


async def test_events_of_every_kind_arrive_as_they_were_shown() -> None:
    elsewhere = Elsewhere(interval=HOUR)
    for number, event in enumerate(EVENTS[1:], start=3):
        follower = elsewhere.follow(Row(None), position=number - 1)
        elsewhere.show((number, event))
        assert await follower.receive() == [(number, event)]
        follower.leave()

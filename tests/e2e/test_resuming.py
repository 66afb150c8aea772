"""A reader that lost its connection follows the turn from where it was: by its owner, or by another process."""

import random
from collections.abc import AsyncIterator
from typing import Final
from uuid import uuid4

import anyio
import pytest

from tests.harness.auditor import audit
from tests.harness.client import Client, calling, events_of
from tests.harness.postgres import Database
from tests.harness.processes import Server, mini_chat
from tests.harness.service import settings
from tests.harness.sse_client import EventStream, shown

MODELS: Final = {
    "quick": "mock-itl1-len400",
    "slow": "mock-itl20-len100000",
    "steady": "mock-itl5-len60-tool1-cite1",
    "failing": "mock-itl1-len30-fail10",
    "silent": "mock-hang0",
    "talkative": "mock-itl1-len2000",
}
CUTS: Final = 30
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="package")
async def two_servers(
    shared_database: Database, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[Server, Server]]:
    """On one database, and nothing else between them."""
    env = settings(shared_database, MODELS) | {"MINI_CHAT_STREAMING_FOLLOW_INTERVAL": "50ms"}
    async with (
        mini_chat(tmp_path_factory.mktemp("owner"), env=env) as owner,
        mini_chat(tmp_path_factory.mktemp("other"), env=env | {"MINI_CHAT_STREAMING_PING_INTERVAL": "20ms"}) as other,
    ):
        yield owner, other


@pytest.fixture
async def client(two_servers: tuple[Server, Server], shared_database: Database) -> AsyncIterator[Client]:
    async with calling(two_servers[0]) as client:
        yield client
        await audit(shared_database.superuser_dsn, client.streams)


@pytest.fixture
async def elsewhere(two_servers: tuple[Server, Server]) -> AsyncIterator[Client]:
    async with calling(two_servers[1]) as client:
        yield client


async def stored(client: Client, chat_id: str) -> str:
    _, answer = await client.messages(chat_id)
    text: str = answer["content"]
    return text


async def cut_off(client: Client, chat_id: str, deltas: int) -> EventStream:
    """A stream of a turn that goes on, reset after so many deltas."""
    async with client.stream(chat_id, on_disconnect="continue") as stream:
        if deltas:
            await stream.first("delta", deltas)
        else:
            await stream.first("stream_started")
        stream.reset()
    return stream


async def told_to_the_end(
    client: Client, chat_id: str, position: int | None, request_id: str = "latest"
) -> EventStream:
    with anyio.fail_after(20):
        async with client.follow(chat_id, request_id, position) as stream:
            await stream.end()
    return stream


async def test_a_stream_cut_at_delta_100_is_resumed_without_a_gap_or_a_double(client: Client) -> None:
    chat_id = await client.chat(model="quick")
    before = await cut_off(client, chat_id, 100)
    after = await told_to_the_end(client, chat_id, before.newest)
    assert not after.is_whole
    assert after.frames[0].number == before.newest + 1
    text = shown([before, after])
    assert text == await stored(client, chat_id)
    assert len(text.encode()) > 400
    assert after.frames[-1].number == 402


async def test_wherever_it_is_cut_a_resumed_stream_is_whole(client: Client) -> None:
    """At once for all cuts, some of which are resumed while the turn runs and some after its end."""
    seed = random.randrange(2**32)
    dice = random.Random(seed)

    async def cut_and_resume(deltas: int) -> None:
        chat_id = await client.chat(model="quick")
        before = await cut_off(client, chat_id, deltas)
        after = await told_to_the_end(client, chat_id, before.newest)
        assert shown([before, after]) == await stored(client, chat_id), (seed, deltas, before.newest)

    async with anyio.create_task_group() as group:
        for deltas in dice.sample(range(400), CUTS):
            group.start_soon(cut_and_resume, deltas)


async def test_a_stream_may_be_cut_again_and_again(client: Client) -> None:
    chat_id = await client.chat(model="quick")
    bodies = [await cut_off(client, chat_id, 20)]
    while bodies[-1].terminal is None:
        async with client.follow(chat_id, position=bodies[-1].newest) as stream:
            async for frame in stream:
                if frame.number >= bodies[-1].newest + 60:
                    stream.reset()
        bodies.append(stream)
    assert len(bodies) > 3
    assert shown(bodies) == await stored(client, chat_id)


async def test_tools_and_citations_are_resumed_as_they_were_first_sent(client: Client) -> None:
    chat_id = await client.chat(model="steady")
    async with client.stream(chat_id) as first:
        await first.first("delta", 5)
        async with client.follow(chat_id, position=0) as second, client.follow(chat_id, position=3) as third:
            for stream in (first, second, third):
                await stream.end()
    assert [frame.event for frame in first.frames].count("citations") == 1
    assert second.frames[1:] == first.frames[1:]
    assert second.frames[0].data == first.frames[0].data | {"is_new_turn": False}
    assert third.frames == first.frames[3:]


async def test_a_turn_has_eight_readers_and_no_ninth(client: Client) -> None:
    chat_id = await client.chat(model="slow")
    async with client.stream(chat_id) as first, anyio.create_task_group() as group:
        seen: list[EventStream] = []

        async def follow() -> None:
            async with client.follow(chat_id, position=0) as stream:
                await stream.first("delta", 3)
                seen.append(stream)
                if len(seen) == 7:
                    refused = await client.ask("GET", events_of(chat_id))
                    assert (refused.status, refused.json()["code"]) == (429, "rate_limited")
                    assert refused.header("Retry-After") == "1"
                    group.cancel_scope.cancel()
                await anyio.sleep_forever()

        await first.first("delta")
        for _ in range(7):
            group.start_soon(follow)


async def test_a_turn_goes_on_for_whoever_still_reads_it_and_ends_with_the_last(client: Client) -> None:
    chat_id = await client.chat(model="slow")
    async with client.stream(chat_id) as first:
        await first.first("delta")
        async with client.follow(chat_id, position=0) as second:
            await second.first("delta")
            first.reset()
            seen = len(second.frames)
            await second.first("delta", seen + 20)
    async with client.follow(chat_id, position=0) as third:
        assert (await third.end()).data["code"] == "turn_cancelled"


async def test_a_long_turn_is_caught_up_with_in_one_event(client: Client) -> None:
    chat_id = await client.chat(model="talkative")
    async with client.stream(chat_id) as first:
        await first.first("delta", 1200)
        async with client.follow(chat_id, position=2) as whole:
            await whole.first("delta", 2)
            await first.end()
            await whole.end()
    assert whole.is_whole
    assert whole.frames[1].number > 1000
    assert whole.text == first.text == await stored(client, chat_id)


@pytest.mark.parametrize("model", ["quick", "failing"])
async def test_a_finished_turn_is_told_again_and_nothing_follows_its_end(client: Client, model: str) -> None:
    chat_id = await client.chat(model=model)
    told = await client.told(chat_id)
    again = await told_to_the_end(client, chat_id, None)
    assert [frame.number for frame in again.frames] == [1, told.newest - 1, told.newest]
    assert again.text == told.text == await stored(client, chat_id)
    assert again.terminal == told.terminal_told_again
    over = await client.ask("GET", events_of(chat_id), headers={"Last-Event-ID": str(told.newest)})
    assert (over.status, over.body) == (204, b"")
    assert (await client.ask("GET", f"{events_of(chat_id)}?after={told.newest + 1}")).status == 204


async def test_there_is_nothing_to_follow_of_a_turn_that_was_replaced_or_deleted(client: Client) -> None:
    chat_id = await client.chat(model="failing")
    await client.told(chat_id)
    first = (await client.messages(chat_id))[0]["request_id"]
    assert (await client.ask("POST", f"chats/{chat_id}/turns/latest/retry", {})).status == 200
    second = (await client.messages(chat_id))[0]["request_id"]
    assert second != first
    assert (await client.ask("DELETE", f"chats/{chat_id}/turns/{second}")).status == 204
    for request_id in (first, second):
        assert (await client.ask("GET", events_of(chat_id, request_id))).status == 204
    assert (await client.ask("GET", events_of(chat_id))).json()["code"] == "turn_not_found"


async def test_a_turn_of_another_process_is_told_from_its_row_when_it_has_ended(
    client: Client, elsewhere: Client
) -> None:
    chat_id = await client.chat(model="quick")
    before = await cut_off(client, chat_id, 100)
    beginning = told_from(elsewhere, chat_id, 0)
    middle = told_from(elsewhere, chat_id, before.newest)
    async with anyio.create_task_group() as group:
        group.start_soon(beginning)
        group.start_soon(middle)
    text = await stored(client, chat_id)
    assert beginning.stream.text == text
    assert [frame.event for frame in beginning.stream.frames if frame.event != "ping"] == [
        "stream_started",
        "delta",
        "done",
    ]
    assert shown([before, middle.stream]) == text
    assert {frame.event for frame in middle.stream.frames} >= {":", "stream_started", "delta", "done"}


class Told:
    """A turn followed to its end in a task."""

    stream: EventStream

    def __init__(self, client: Client, chat_id: str, position: int) -> None:
        self._client, self._chat_id, self._position = client, chat_id, position

    async def __call__(self) -> None:
        self.stream = await told_to_the_end(self._client, self._chat_id, self._position)


def told_from(client: Client, chat_id: str, position: int) -> Told:
    return Told(client, chat_id, position)


async def test_who_follows_from_elsewhere_is_kept_company_and_may_leave(client: Client, elsewhere: Client) -> None:
    chat_id = await client.chat(model="silent")
    async with client.stream(chat_id) as first:
        await first.first("stream_started")
        async with elsewhere.follow(chat_id) as follower:
            await follower.first("ping", 3)
        assert [frame.event for frame in follower.frames[:2]] == ["stream_started", "ping"]
        assert {frame.number for frame in follower.frames} == {1}


async def test_a_turn_nobody_knows_is_not_found_and_a_position_is_a_number(client: Client) -> None:
    chat_id = await client.chat(model="quick")
    missing = await client.ask("GET", events_of(chat_id, str(uuid4())))
    assert (missing.status, missing.json()["code"]) == (404, "turn_not_found")
    assert (await client.ask("GET", events_of(chat_id))).json()["code"] == "turn_not_found"
    assert (await client.ask("GET", events_of(str(uuid4())))).json()["code"] == "chat_not_found"
    for headers, query in (({"Last-Event-ID": "x"}, ""), ({}, "?after=-1"), ({"Last-Event-ID": ""}, "?after=1")):
        refused = await client.ask("GET", events_of(str(uuid4())) + query, headers=headers)
        assert (refused.status, refused.json()["code"]) == (400, "invalid_request")

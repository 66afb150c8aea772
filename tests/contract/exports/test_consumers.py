"""Every sink gets every event at least once, whole and with its key, and says when it did not."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest

from domain.audit.events import OutgoingEvent, Stream
from domain.ids import EventId, TenantId
from domain.jobs.retries import JobFailed
from tests.contract.exports.sinks import InFile, InMemory, Sink, over_http, over_redis


def an_event(text: str = "Grüße \u2028 \n") -> OutgoingEvent:
    key = f"tenant/{uuid4()}"
    return OutgoingEvent(
        id=EventId(uuid4()),
        stream=Stream.AUDIT,
        tenant_id=TenantId(uuid4()),
        event_type="chat_created",
        dedupe_key=key,
        body=msgspec.json.encode({"dedupe_key": key, "text": text}),
    )


@pytest.fixture(params=["memory", "file", "http", pytest.param("redis", marks=pytest.mark.redis)])
async def sink(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sink]:
    match request.param:
        case "memory":
            yield InMemory()
        case "file":
            yield InFile(tmp_path)
        case "http":
            async with over_http() as sink:
                yield sink
        case _:
            async with over_redis(request.getfixturevalue("own_redis")) as stream:
                yield stream


async def test_events_arrive_whole_and_in_order(sink: Sink) -> None:
    events = [an_event() for _ in range(3)]
    for event in events:
        await sink.consumer.deliver(event)
    assert await sink.arrived() == [(event.dedupe_key, msgspec.json.decode(event.body)) for event in events]


async def test_an_event_that_comes_again_has_the_same_key(sink: Sink) -> None:
    event = an_event()
    for _ in range(2):
        await sink.consumer.deliver(event)
    first, second = await sink.arrived()
    assert first == second


async def test_a_sink_that_is_down_is_worth_another_attempt(sink: Sink) -> None:
    await sink.break_down()
    with pytest.raises(JobFailed) as failed:
        await sink.consumer.deliver(an_event())
    assert (failed.value.code, failed.value.permanent) == ("sink_unavailable", False)
    await sink.mend()
    event = an_event()
    await sink.consumer.deliver(event)
    assert [key for key, _ in await sink.arrived()] == [event.dedupe_key]

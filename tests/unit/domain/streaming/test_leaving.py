from datetime import timedelta

import anyio

from domain.streaming.events import Delta, StreamStarted
from domain.streaming.feed import Feed

STARTED = StreamStarted(request_id="r", message_id="m", is_new_turn=True)


async def test_a_reader_that_leaves_with_events_waiting_has_ended() -> None:
    """Else the loop that drains it would spin: the feed has forgotten what nobody is left to read."""
    feed = Feed(32, deserted=lambda: None)
    reader = feed.attach(timedelta(seconds=5))
    feed.publish(STARTED)
    reader.leave()
    with anyio.fail_after(5):
        assert list(await reader.receive()) == []
    assert reader.ended


async def test_what_is_published_after_a_reader_left_is_not_its_business() -> None:
    feed = Feed(32, deserted=lambda: None)
    gone, staying = feed.attach(timedelta(seconds=5)), feed.attach(timedelta(seconds=5))
    feed.publish(STARTED)
    gone.leave()
    feed.publish(Delta("text", "later"))
    with anyio.fail_after(5):
        assert list(await gone.receive()) == []
        assert [number for number, _ in await staying.receive()] == [1, 2]
    assert gone.ended
    assert not staying.ended

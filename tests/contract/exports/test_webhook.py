"""What a webhook is sent, and what its answers mean."""

import hashlib
import hmac
import re
import time
from datetime import timedelta

import pytest

from domain.jobs.retries import JobFailed
from tests.contract.exports.sinks import KEY, over_http, webhook
from tests.contract.exports.test_consumers import an_event
from tests.harness.upstream import Action, Reply, Upstream


async def test_the_signature_covers_the_time_and_every_byte() -> None:
    event = an_event()
    async with over_http() as sink:
        await sink.consumer.deliver(event)
        (exchange,) = sink.upstream.exchanges
    told = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", exchange.headers["mini-chat-signature"])
    assert told
    expected = hmac.new(KEY, told[1].encode() + b"." + exchange.body, hashlib.sha256).hexdigest()
    assert told[2] == expected
    assert abs(time.time() - int(told[1])) < 60
    assert exchange.headers["mini-chat-event"] == event.event_type
    assert exchange.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (404, True), (413, True), (408, False), (425, False), (429, False), (302, False), (500, False)],
)
async def test_only_a_refusal_of_the_event_itself_is_final(status: int, permanent: bool) -> None:
    async with over_http() as sink:
        sink.upstream.reply(Reply(status=status, headers={"Location": f"{sink.upstream.url}/elsewhere"}))
        with pytest.raises(JobFailed) as failed:
            await sink.consumer.deliver(an_event())
        assert failed.value.permanent is permanent
        assert len(sink.upstream.exchanges) == 1


async def test_a_sink_says_when_it_may_be_asked_again() -> None:
    async with over_http() as sink:
        sink.upstream.reply(Reply(status=429, headers={"Retry-After": "7"}))
        with pytest.raises(JobFailed) as failed:
            await sink.consumer.deliver(an_event())
    assert failed.value.retry_after == timedelta(seconds=7)


async def test_a_silent_sink_costs_its_deadline() -> None:
    async with Upstream() as upstream, webhook(upstream.url, timedelta(milliseconds=100)) as consumer:
        upstream.reply(Reply(before_head=[Action.HANG]))
        with pytest.raises(JobFailed, match="sink_unavailable"):
            await consumer.deliver(an_event())


async def test_a_name_that_leads_into_the_private_network_is_not_reached() -> None:
    async with Upstream() as upstream:
        upstream.reply(Reply(status=200))
        async with webhook(upstream.url, allow_private_network=False) as consumer:
            with pytest.raises(JobFailed, match="sink_unavailable"):
                await consumer.deliver(an_event())
        assert upstream.accepted == 0

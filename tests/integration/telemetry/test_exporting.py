"""Reports reach a collector over a real socket."""

from datetime import timedelta

import anyio
from aiohttp import web

from domain.telemetry.ports import Counted, SpanName
from domain.telemetry.trace_context import new_trace
from infra.telemetry.tracing import exporting, telemetry_for


async def test_spans_and_counts_arrive_before_the_block_is_left() -> None:
    received: dict[str, bytes] = {}

    async def take(request: web.Request) -> web.Response:
        received[request.path] = await request.read()
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/{signal}", take)
    runner = web.AppRunner(app, shutdown_timeout=0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        telemetry = telemetry_for(f"http://127.0.0.1:{runner.addresses[0][1]}", "mini-chat", timedelta(seconds=5))
        with anyio.fail_after(10):
            async with exporting(telemetry):
                telemetry.count(Counted.LOST_RACE)
                with telemetry.span(SpanName.SEND, new_trace()):
                    pass
    finally:
        await runner.cleanup()
    assert b"chat.send" in received["/v1/traces"]
    assert b"mini_chat_lost_race_total" in received["/v1/metrics"]


async def test_a_collector_that_is_down_does_not_hold_the_shutdown() -> None:
    telemetry = telemetry_for("http://127.0.0.1:1", "mini-chat", timedelta(milliseconds=100))
    async with exporting(telemetry):
        telemetry.count(Counted.LOST_RACE)
        with telemetry.span(SpanName.SEND, new_trace()):
            pass
        leaving_at = anyio.current_time()
    assert anyio.current_time() - leaving_at < 3

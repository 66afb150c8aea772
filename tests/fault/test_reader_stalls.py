"""A reader stops reading: it costs a bounded amount, is dropped in time, and its turn follows its rule."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio

from tests.harness.client import Client
from tests.harness.eventually import eventually
from tests.harness.service import Service
from tests.harness.upstream import DONE, Upstream, finish, sse, text

MOST_KIB_PER_READER = 3 * 1024
"""What fits into socket buffers and a channel has been said and is kept; the 10 MB of the whole answer are not."""
PIECE = "x" * 4096
FLOOD = sse(*[text(PIECE)] * 2500, finish(), DONE)


def resident_kib(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def answered(client: Client, chat_id: str) -> dict[str, Any]:
    async def answer() -> dict[str, Any] | None:
        return dict(enumerate(await client.messages(chat_id))).get(1)

    return await eventually(answer, within_s=4) or {}


async def test_a_reader_that_stops_reading_is_dropped_and_its_turn_cancelled(
    client: Client, upstream: Upstream
) -> None:
    upstream.reply(FLOOD)
    chat_id = await client.chat(model="remote")
    async with client.stream(chat_id) as stream:
        await stream.first("delta")
        stream.stop_reading()
        answer = await answered(client, chat_id)
    assert answer["status"] == "partial"
    assert 0 < len(str(answer["content"])) < 2500 * len(PIECE)
    with anyio.fail_after(2):
        await upstream.idle.wait()


async def test_under_continue_the_turn_of_a_dropped_reader_finishes(client: Client, upstream: Upstream) -> None:
    upstream.reply(FLOOD)
    chat_id = await client.chat(model="remote")
    async with client.stream(chat_id, on_disconnect="continue") as stream:
        await stream.first("delta")
        stream.stop_reading()
        answer = await answered(client, chat_id)
    assert (answer["status"], len(str(answer["content"]))) == ("complete", 2500 * len(PIECE))


async def test_twenty_stalled_readers_cost_a_bounded_amount_of_memory(
    client: Client, service: Service, upstream: Upstream
) -> None:
    upstream.reply(FLOOD)
    before_kib = resident_kib(service.server.pid)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            stream = await stack.enter_async_context(client.stream(model="remote"))
            await stream.first("delta")
            stream.stop_reading()
        grown_kib = resident_kib(service.server.pid) - before_kib
        with anyio.fail_after(5):
            await upstream.idle.wait()
    assert grown_kib < len(client.streams) * MOST_KIB_PER_READER

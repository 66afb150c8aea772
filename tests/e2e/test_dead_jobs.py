"""Dead letters over sockets: an operator sees why, lets them go again, and that is told."""

from pathlib import Path
from typing import Final

import anyio
import msgspec

from tests.harness.client import Client, calling
from tests.harness.eventually import eventually
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.harness.service import serving, settings
from tests.harness.upstream import Reply, Upstream

KEY: Final = "k" * 32
FINE, REFUSED = Reply(status=200), Reply(status=410)


def _sink(upstream: Upstream) -> dict[str, str]:
    return {
        "MINI_CHAT_AUDIT_SINK": upstream.url,
        "MINI_CHAT_EXPORTS_ALLOW_HTTP": "true",
        "MINI_CHAT_EXPORTS_ALLOW_PRIVATE_NETWORK": "true",
        "MINI_CHAT_EXPORTS_SIGNING_KEY": "env:WEBHOOK_KEY",
        "MINI_CHAT_JOBS_POLL": "20ms",
        "WEBHOOK_KEY": KEY,
    }


async def _dead(operator: Client, number: int) -> bool:
    answer = (await operator.ask("GET", "admin/jobs?$count=true")).json()
    return bool(answer["count"] == number)


async def test_events_that_were_refused_wait_for_an_operator(tmp_path: Path, database: Database) -> None:
    async with Upstream() as upstream:
        upstream.reply(REFUSED)
        env = settings(database, {"quick": "mock-len5"}) | _sink(upstream)
        async with serving(tmp_path, database, env) as service, service.caller() as client:
            operator = client.under(await service.token("operations", "olga", "admin"))
            chat_ids = [await client.chat() for _ in range(3)]
            await eventually(lambda: _dead(operator, 3), within_s=10)

            found = await operator.ask("GET", "admin/jobs?$orderby=id&$filter=queue eq 'audit_export'")
            first = found.json()["items"][0]
            assert (first["error_code"], first["attempts"]) == ("sink_refused", 0)
            upstream.reply(FINE)
            told = len(upstream.exchanges)
            assert (await operator.ask("POST", f"admin/jobs/{first['id']}/redrive")).json() == {"redriven": 1}
            await eventually(lambda: _dead(operator, 2))
            again = await operator.ask("POST", f"admin/jobs/{first['id']}/redrive")
            assert (again.status, again.json()["code"]) == (404, "job_not_found")
            assert (await operator.ask("POST", "admin/jobs/queues/audit_export/redrive")).json() == {"redriven": 2}
            await eventually(lambda: _all_arrived(upstream, told, chat_ids), within_s=10)

            queues = {each["queue"]: each for each in (await operator.ask("GET", "admin/jobs/queues")).json()["items"]}
            assert queues["audit_export"]["dead"] == 0
            assert (await client.ask("GET", "admin/jobs")).status == 403
            assert (await client.ask("POST", "admin/jobs/queues/audit_export/redrive")).status == 403
    async with connected(database.superuser_dsn) as connection:
        requeued = await connection.fetch(
            "SELECT body FROM mini_chat.audit_events WHERE event_type = 'job_requeued' ORDER BY id"
        )
    bodies = [msgspec.json.decode(row["body"]) for row in requeued]
    assert [body["count"] for body in bodies] == [1, 2]
    assert {body["tenant_id"] for body in bodies} == {"00000000-0000-0000-0000-000000000000"}
    assert {body["actor"]["type"] for body in bodies} == {"user"}


async def test_a_server_with_dead_letters_is_ready_and_says_so(tmp_path: Path, database: Database) -> None:
    async with connected(database.superuser_dsn) as connection:
        await connection.execute(
            "INSERT INTO mini_chat.jobs (priority, entrypoint, payload, headers, status)"
            " VALUES (0, 'audit_export', '', '{}', 'failed')"
        )
    env = settings(database, {"quick": "mock-len5"})
    async with serving(tmp_path, database, env) as service, calling(service.server) as client:

        async def told() -> bool:
            answer = await client.ask("GET", "/readyz")
            assert answer.status == 200
            return bool(answer.json()["checks"]["jobs"] == "degraded")

        await eventually(told)


async def _all_arrived(upstream: Upstream, told: int, chat_ids: list[str]) -> bool:
    """Those of the chats, and the two words about the letting go itself."""
    await anyio.lowlevel.checkpoint()
    bodies = [msgspec.json.decode(exchange.body) for exchange in upstream.exchanges[told:]]
    return {body["chat_id"] for body in bodies} == {*chat_ids, None}

"""Whatever an administrator changes is in the books of the platform, with who did it."""

from pathlib import Path
from typing import Any, Final

import msgspec

from tests.harness.operator import SWITCHES, Operator
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.harness.service import serving, settings

PLATFORM: Final = "00000000-0000-0000-0000-000000000000"


async def _told(database: Database) -> list[dict[str, Any]]:
    async with connected(database.superuser_dsn) as connection:
        rows = await connection.fetch(
            "SELECT body FROM mini_chat.audit_events WHERE tenant_id = $1 ORDER BY occurred_at", PLATFORM
        )
    return [msgspec.json.decode(row["body"]) for row in rows]


async def test_every_change_of_an_administrator_is_told(tmp_path: Path, database: Database) -> None:
    env = settings(database, {"quick": "mock-len5", "endless": "mock-itl20-len100000"})
    async with serving(tmp_path, database, env) as service, service.caller() as client:
        olga = client.under(await service.token("operations", "olga", "admin"))
        operator = Operator(olga)
        effect = await operator.switch("tool", "web_search", "admission")
        await olga.ask("PUT", f"{SWITCHES}?dry_run=true", {"scope": "tool", "target": "web_search", "reason": "r"})
        assert (await olga.ask("DELETE", f"{SWITCHES}/{effect['switch']['id']}")).status == 200
        assert (await olga.ask("PATCH", "admin/models/endless", {"enabled": True})).status == 200
        async with client.stream(model="endless") as stream:
            await stream.first("delta", 1)
            (turn,) = (await olga.ask("GET", "admin/turns")).json()["items"]
            assert (await olga.ask("POST", f"admin/turns/{turn['turn_id']}/abort", {"reason": "r"})).status == 200
            await stream.end()
        me = (await olga.ask("GET", "me")).json()
    told = await _told(database)
    assert [event["event_type"] for event in told] == [
        "switch_changed",
        "switch_changed",
        "model_changed",
        "turn_aborted",
    ]
    assert {event["actor"]["id"] for event in told} == {me["subject_id"]}
    assert {event["actor_tenant_id"] for event in told} == {me["tenant_id"]}
    assert [event["cleared"] for event in told[:2]] == [False, True]

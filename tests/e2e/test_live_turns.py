"""Operators see the running turns of all tenants, and end one of them."""

from pathlib import Path

import anyio
import pytest

from infra.auth.principals import tenant_id_for
from tests.harness.operator import accepted
from tests.harness.postgres import Database
from tests.harness.service import serving, settings

MODELS = {"endless": "mock-itl20-len100000", "silent": "mock-hang0"}
TURNS = "admin/turns"

pytestmark = pytest.mark.timeout(120)


async def test_live_turns_are_listed_and_one_of_them_is_aborted(tmp_path: Path, database: Database) -> None:
    env = settings(database, MODELS) | {"MINI_CHAT_TURN_HEARTBEAT": "100ms"}
    async with serving(tmp_path, database, env) as service, service.caller() as client:
        operator = client.under(await service.token("operations", "olga", "admin"))
        acme = client.under(await service.token("acme", "ada"))
        assert accepted(await operator.ask("GET", TURNS))["items"] == []
        async with client.stream(model="endless") as talking, acme.stream(model="silent") as silent:
            await talking.first("delta", 20)
            await silent.first("stream_started")
            listed = accepted(await operator.ask("GET", f"{TURNS}?$count=true"))
            assert listed["count"] == 2
            phases = {turn["request_id"]: turn["phase"] for turn in listed["items"]}
            assert phases == {talking.request_id: "streaming", silent.request_id: "starting"}
            tenant = tenant_id_for("acme")
            (found,) = accepted(await operator.ask("GET", f"{TURNS}?$filter=tenant_id eq {tenant}"))["items"]
            assert (found["effective_model"], found["provider_id"], found["owner_epoch"]) == ("silent", "scripted", 1)

            path = f"{TURNS}/{found['turn_id']}/abort"
            assert (await client.ask("POST", path, {"reason": "no"})).json()["code"] == "forbidden"
            assert (await operator.ask("POST", path, {"reason": ""})).json()["code"] == "invalid_request"
            receipt = accepted(await operator.ask("POST", path, {"reason": "It says nothing."}))
            assert (receipt["turn_id"], receipt["state"]) == (found["turn_id"], "cancelled")
            with anyio.fail_after(1):
                end = await silent.end()
            assert end.data["code"] == "turn_cancelled"
            assert (await operator.ask("POST", path, {"reason": "again"})).json()["code"] == "turn_not_found"
            (left,) = accepted(await operator.ask("GET", TURNS))["items"]
            assert left["request_id"] == talking.request_id
            assert (await client.ask("GET", TURNS)).json()["code"] == "forbidden"

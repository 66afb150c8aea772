"""Kill switches over sockets: what each refuses, what it ends, and what stays open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import anyio
import msgspec
import pytest

from infra.auth.principals import tenant_id_for
from tests.harness.client import Client, events_of
from tests.harness.operator import SWITCHES, Operator, accepted
from tests.harness.postgres import Database
from tests.harness.service import dev_token, serving, settings
from tests.harness.sse_client import EventStream

MODELS: Final = {"quick": "mock-len5", "endless": "mock-itl20-len100000"}
BIG: Final = {"id": "big", "provider_id": "scripted", "provider_model_id": "mock-itl20-len100000", "tier": "premium"}
ELSEWHERE: Final = {
    "id": "elsewhere",
    "provider_id": "second",
    "provider_model_id": "mock-itl20-len100000",
    "tool_support": {"web_search": True},
}
SEARCHING: Final[dict[str, Any]] = {"web_search": {"enabled": True}}
DEV_TENANT: Final = str(tenant_id_for("dev"))
ENDS_WITHIN_S: Final = 1.0

pytestmark = pytest.mark.timeout(120)


class World(msgspec.Struct, frozen=True):
    client: Client
    operator: Operator


@asynccontextmanager
async def a_world(folder: Path, database: Database) -> AsyncIterator[World]:
    env = settings(database, MODELS, None, BIG, ELSEWHERE) | {"MINI_CHAT_PROVIDERS__SECOND__KIND": "scripted"}
    async with serving(folder, database, env) as service, service.caller() as client:
        token = await service.token("operations", "olga", "admin")
        yield World(client, Operator(client.under(token)))


async def code_of(client: Client, method: str, path: str, body: Any = None) -> str | int:
    answer = await client.ask(method, path, body)
    code: str | int = answer.json()["code"] if answer.status >= 400 else answer.status
    return code


async def test_a_running_stream_is_ended_by_an_abort_switch_and_its_text_is_kept(
    tmp_path: Path, database: Database
) -> None:
    async with a_world(tmp_path, database) as world:
        chat_id = await world.client.chat(model="endless")
        async with world.client.stream(chat_id) as stream:
            await stream.first("delta", 5)
            foreseen = await world.operator.client.ask("PUT", f"{SWITCHES}?dry_run=true", _abort("endless"))
            assert foreseen.json() == {
                "switch": None, "dry_run": True, "affected_live_turns": 1, "will_abort": True
            }  # fmt: skip
            effect = await world.operator.switch("model", "endless", "abort")
            with anyio.fail_after(ENDS_WITHIN_S):
                end = await stream.end()
        assert (end.event, end.data["code"], end.data["retryable"]) == ("error", "generation_disabled", False)
        assert effect["affected_live_turns"] == 1
        turn = (await world.client.ask("GET", f"chats/{chat_id}/turns/latest")).json()
        assert (turn["state"], turn["error_code"]) == ("error", "generation_disabled")
        _, answer = await world.client.messages(chat_id)
        assert (answer["status"], answer["content"]) == ("partial", stream.text)


def _abort(model: str) -> dict[str, str]:
    return {"scope": "model", "target": model, "mode": "abort", "reason": "a test"}


NAMES: Final = {
    "global": ("global", None),
    "tenant": ("tenant", DEV_TENANT),
    "model": ("model", "endless"),
    "provider": ("provider", "scripted"),
    "tool": ("tool", "web_search"),
    "feature": ("feature", "premium_tier"),
}
ENDED: Final = {
    "global": {"endless", "big", "elsewhere"},
    "tenant": {"endless", "big", "elsewhere"},
    "model": {"endless"},
    "provider": {"endless", "big"},
    "tool": {"elsewhere"},
    "feature": {"big"},
}


async def test_the_mode_abort_ends_what_is_in_scope_and_admission_ends_nothing(
    tmp_path: Path, database: Database
) -> None:
    async with a_world(tmp_path, database) as world:
        for scope, (name, target) in NAMES.items():
            for mode in ("admission", "abort"):
                ended = await _ended_by(world, name, target, mode)
                assert ended == (ENDED[scope] if mode == "abort" else set()), (scope, mode)


async def _ended_by(world: World, scope: str, target: str | None, mode: str) -> set[str]:
    """The models of those turns of three that a switch ends; the others go on."""
    async with (
        world.client.stream(model="endless") as first,
        world.client.stream(model="big") as second,
        world.client.stream(model="elsewhere", **SEARCHING) as third,
    ):
        streams = {"endless": first, "big": second, "elsewhere": third}
        for stream in streams.values():
            await stream.first("delta")
        effect = await world.operator.switch(scope, target, mode)
        assert effect["affected_live_turns"] == len(ENDED[scope])
        ended = {model for model, stream in streams.items() if await _ends(stream)}
        await world.operator.clear(effect)
    return ended


async def _ends(stream: EventStream) -> bool:
    """Rather than to go on for some deltas that were not under way yet."""
    seen = len(stream.frames)
    async for frame in stream:
        if frame.event == "error":
            assert frame.data["code"] == "generation_disabled"
            return True
        if len(stream.frames) >= seen + 10:
            break
    return False


ROUTES: Final = {
    "create and send": ("POST", "chats:send", {"content": "hi"}),
    "create and stream": ("POST", "chats:stream", {"content": "hi"}),
    "send": ("POST", "chats/{chat}/messages", {"content": "hi"}),
    "stream": ("POST", "chats/{chat}/messages:stream", {"content": "hi"}),
    "retry": ("POST", "chats/{chat}/turns/latest/retry", None),
    "edit": ("PATCH", "chats/{chat}/turns/latest", {"content": "hi"}),
}


async def test_each_scope_refuses_on_every_route_that_asks_for_an_answer(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database) as world:
        chat_id = await world.client.chat()
        await world.client.told(chat_id)
        for mode in ("admission", "abort"):
            for scope, target, code in [
                ("global", None, "generation_disabled"),
                ("tenant", DEV_TENANT, "generation_disabled"),
                ("tool", "web_search", "web_search_disabled"),
            ]:
                effect = await world.operator.switch(scope, target, mode)
                for route, (method, path, body) in ROUTES.items():
                    asked = (body or {}) | (SEARCHING if scope == "tool" else {})
                    found = await code_of(world.client, method, path.format(chat=chat_id), asked)
                    assert found == code, (scope, mode, route)
                await world.operator.clear(effect)
        assert (
            await code_of(world.client, *ROUTES["send"][:1], ROUTES["send"][1].format(chat=chat_id), {"content": "hi"})
            == 200
        )


async def test_reading_replaying_and_cancelling_stay_open_while_everything_is_off(
    tmp_path: Path, database: Database
) -> None:
    async with a_world(tmp_path, database) as world:
        client, chat_id, key = world.client, await world.client.chat(), str(uuid4())
        told = await client.told(chat_id, request_id=key)
        async with client.stream(model="endless", on_disconnect="continue") as running:
            await running.first("delta")
            await world.operator.switch("global")
            other = (await client.ask("GET", "chats")).json()["items"][0]["id"]
            assert (await client.told(chat_id, request_id=key)).text == told.text
            for path in ("chats", f"chats/{chat_id}", f"chats/{chat_id}/messages", "models", events_of(chat_id)):
                assert (await client.ask("GET", path)).status == 200, path
            receipt = await client.ask("POST", f"chats/{other}/turns/latest/cancel")
            assert receipt.json()["state"] == "cancelled"
            await running.end()


async def test_models_that_are_off_are_replaced_even_by_another_provider_or_refused(
    tmp_path: Path, database: Database
) -> None:
    async with a_world(tmp_path, database) as world:
        client, operator = world.client, world.operator
        chat_id, premium = await client.chat(model="quick"), await client.chat(model="big")
        provider = await operator.switch("provider", "scripted")
        assert await code_of(client, "GET", "models/quick") == "model_not_found"
        assert await code_of(client, "POST", "chats", {"model": "quick"}) == "invalid_model"
        async with client.stream(chat_id) as stream:
            await stream.first("delta")
        turn = (await client.ask("GET", f"chats/{chat_id}/turns/latest")).json()
        assert turn["effective_model"] == "elsewhere"
        await operator.switch("model", "elsewhere")
        assert await code_of(client, "POST", f"chats/{premium}/messages", {"content": "hi"}) == "invalid_model"
        await operator.clear(provider)
        for feature, reason in [("premium_tier", "disable_premium_tier"), ("force_standard_tier",) * 2]:
            effect = await operator.switch("feature", feature)
            done = await (await client.told(premium)).end()
            assert (done.data["effective_model"], done.data["downgrade_reason"]) == ("quick", reason)
            assert done.data["downgrade_from"] == "big"
            await operator.clear(effect)


async def test_a_switch_has_versions_and_at_most_one_of_a_name_exists(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database) as world:
        operator, client = world.operator, world.operator.client
        first = (await operator.switch("model", "quick", expected_version=0))["switch"]
        assert (first["version"], first["mode"], first["target"]) == (1, "admission", "quick")
        stale = await client.ask("PUT", SWITCHES, _abort("quick") | {"expected_version": 0})
        assert (stale.status, stale.json()["code"], stale.json()["current_version"]) == (409, "version_conflict", 1)
        second = (await operator.switch("model", "quick", "abort", expected_version=1))["switch"]
        assert (second["id"], second["version"]) == (first["id"], 2)
        listed = accepted(await client.ask("GET", SWITCHES))["items"]
        assert listed == [second]
        path = f"{SWITCHES}/{first['id']}"
        assert accepted(await client.ask("DELETE", f"{path}?dry_run=true"))["switch"] == second
        assert await code_of(client, "DELETE", f"{path}?expected_version=1") == "version_conflict"
        cleared = accepted(await client.ask("DELETE", f"{path}?expected_version=2"))["switch"]
        assert (cleared["version"], "cleared_at" in cleared) == (3, True)
        assert await code_of(client, "DELETE", path) == "kill_switch_not_found"
        assert accepted(await client.ask("GET", SWITCHES))["items"] == []
        assert accepted(await client.ask("GET", f"{SWITCHES}?include_cleared=true"))["items"] == [cleared]
        again = (await operator.switch("model", "quick", expected_version=0))["switch"]
        assert (again["id"], again["version"]) == (first["id"], 4)


async def test_of_operators_who_meet_one_wins(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database) as world:
        answers: list[int] = []

        async def set_it() -> None:
            body = _abort("quick") | {"expected_version": 0}
            answers.append((await world.operator.client.ask("PUT", SWITCHES, body)).status)

        async with anyio.create_task_group() as group:
            for _ in range(10):
                group.start_soon(set_it)
        assert sorted(answers) == [200] + [409] * 9


BAD: Final = [
    ({"scope": "planet", "reason": "r"}, "scope"),
    ({"scope": "model", "reason": "r"}, "target"),
    ({"scope": "global", "target": "x", "reason": "r"}, "target"),
    ({"scope": "tenant", "target": "x", "reason": "r"}, "target"),
    ({"scope": "tool", "target": "hammer", "reason": "r"}, "target"),
    ({"scope": "feature", "target": "web_search", "reason": "r"}, "target"),
    ({"scope": "global"}, "reason"),
    ({"scope": "global", "reason": ""}, "reason"),
    ({"scope": "global", "reason": "r" * 501}, "reason"),
    ({"scope": "global", "reason": "r", "mode": "maybe"}, "mode"),
    ({"scope": "global", "reason": "r", "expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
    ({"scope": "global", "reason": "r", "expires_at": "tomorrow"}, "expires_at"),
    ({"scope": "global", "reason": "r", "expected_version": -1}, "expected_version"),
]


async def test_only_administrators_may_and_only_what_makes_sense(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database) as world:
        client = world.operator.client
        for body, field in BAD:
            answer = await client.ask("PUT", SWITCHES, body)
            assert (answer.status, answer.json()["code"]) == (400, "invalid_request"), body
            assert answer.json()["errors"][0]["field"] == field, (body, answer.json())
        assert await code_of(client, "PUT", f"{SWITCHES}?dry_run=perhaps", _abort("quick")) == "invalid_request"
        for roles in ((), ("user",), ("viewer",)):
            stranger = world.client.under(await dev_token(tmp_path, "operations", "eve", *roles))
            assert await code_of(stranger, "PUT", SWITCHES, _abort("quick")) == "forbidden"
            assert await code_of(stranger, "GET", SWITCHES) == "forbidden"
        assert accepted(await client.ask("GET", SWITCHES))["items"] == []
        assert '"event":"admin_action"' in world.client.server.output()

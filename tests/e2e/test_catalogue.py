"""The catalogue changes while the server runs: its file is replaced, and administrators have the last word."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from tests.harness.client import Client
from tests.harness.eventually import eventually
from tests.harness.operator import accepted
from tests.harness.postgres import Database
from tests.harness.rows import connected
from tests.harness.service import serving, settings

SMALL: Final = 'id = "small"\nprovider_id = "scripted"\nprovider_model_id = "mock-len5"\nis_default = true\n'
LONG: Final = 'id = "long"\nprovider_id = "scripted"\nprovider_model_id = "mock-itl20-len200"\n'
OTHER: Final = 'id = "other"\nprovider_id = "second"\nprovider_model_id = "mock-echo"\n'
BAD: Final = (
    '[[models]]\nid = "small"\nprovider_id = "nobody"\nprovider_model_id = "mock-len5"\nmax_output_tokens = 128000\n'
)

pytestmark = pytest.mark.timeout(120)


class World(msgspec.Struct, frozen=True):
    client: Client
    operator: Client
    file: Path

    def write(self, *entries: str) -> None:
        self.put("".join(f"[[models]]\n{entry}" for entry in entries))

    def put(self, text: str) -> None:
        """As a deployment does: the new file takes the place of the old one."""
        beside = self.file.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.file)

    async def ids(self) -> list[str]:
        return [item["model_id"] for item in (await self.client.ask("GET", "models")).json()["items"]]

    async def shows(self, *ids: str) -> None:
        async def shown() -> bool:
            return await self.ids() == list(ids)

        await eventually(shown)

    async def catalogue(self) -> Any:
        return accepted(await self.operator.ask("GET", "admin/models"))


@asynccontextmanager
async def a_world(folder: Path, database: Database, **further: str) -> AsyncIterator[World]:
    file = folder / "catalogue.toml"
    file.write_text(f"[[models]]\n{SMALL}[[models]]\n{LONG}")
    env = settings(database, {"unused": "mock"})
    env |= {
        "MINI_CHAT_POLICY_CATALOG_FILE": str(file),
        "MINI_CHAT_PROVIDERS__SECOND__KIND": "scripted",
        "MINI_CHAT_SWITCHES_POLL_INTERVAL": "100ms",
    } | further
    del env["MINI_CHAT_MODELS"]
    async with serving(folder, database, env) as service, service.caller() as client:
        token = await service.token("operations", "olga", "admin")
        yield World(client, client.under(token), file)


async def test_a_file_that_is_replaced_comes_into_force_and_running_turns_keep_what_they_have(
    tmp_path: Path, database: Database
) -> None:
    async with a_world(tmp_path, database) as world:
        assert (await world.catalogue())["catalogue_version"] == "1"
        chat_id = await world.client.chat(model="long")
        async with world.client.stream(chat_id) as stream:
            await stream.first("delta")
            world.write(SMALL, OTHER)
            await world.shows("small", "other")
            done = await stream.end()
        assert (done.event, done.data["effective_model"]) == ("done", "long")
        after = await (await world.client.told(chat_id)).end()
        assert (after.data["effective_model"], after.data["downgrade_reason"]) == ("small", "model_disabled")
        assert (await world.catalogue())["catalogue_version"] == "2"
        async with connected(database.superuser_dsn) as rows:
            found = await rows.fetch(
                "SELECT effective_model, policy_version FROM mini_chat.chat_turns ORDER BY user_seq"
            )
        assert [tuple(row) for row in found] == [("long", 1), ("small", 2)]


@pytest.mark.parametrize("text", [BAD, "", "models = 3", "[[models", '[[models]]\nid = "sma'], ids=range(5))
async def test_a_bad_file_changes_nothing_and_a_good_one_after_it_does(
    tmp_path: Path, database: Database, text: str
) -> None:
    async with a_world(tmp_path, database) as world:
        world.put(text)
        refused = await world.operator.ask("POST", "admin/models:reload")
        assert (refused.status, refused.json()["code"]) == (422, "catalogue_invalid")
        assert refused.json()["errors"]
        await world.client.server.printed("catalogue_refused")
        assert await world.ids() == ["small", "long"]
        await world.client.told(await world.client.chat())
        world.write(SMALL)
        await world.shows("small")


async def test_reloads_are_in_the_books_of_the_platform_refused_ones_too(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database) as world:
        world.put(BAD)
        for body in ({"dry_run": True}, {"dry_run": False}):
            assert (await world.operator.ask("POST", "admin/models:reload", body)).status == 422
        world.write(SMALL)
        accepted(await world.operator.ask("POST", "admin/models:reload"))
        async with connected(database.superuser_dsn) as rows:
            told = await rows.fetch("SELECT event_type, body FROM mini_chat.audit_events ORDER BY occurred_at, id")
        books = [(row["event_type"], msgspec.json.decode(row["body"])) for row in told]
        assert [type_ for type_, _ in books] == ["catalog_refused", "catalog_loaded"]
        assert (books[0][1]["faults"], books[1][1]["version"]) == (3, 2)


async def test_every_fault_is_told_at_once(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database) as world:
        world.put(BAD)
        refused = (await world.operator.ask("POST", "admin/models:reload")).json()
        assert [fault["field"] for fault in refused["errors"]] == [
            "models",
            "models.small.provider_id",
            "models.small.max_output_tokens",
        ]


async def test_a_reload_tells_what_differs_and_a_dry_run_only_that(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database, MINI_CHAT_SWITCHES_POLL_INTERVAL="30s") as world:
        world.write(SMALL + 'display_name = "Small"\n', OTHER)
        difference = {"added": ["other"], "removed": ["long"], "changed": ["small"]}
        foreseen = accepted(await world.operator.ask("POST", "admin/models:reload", {"dry_run": True}))
        assert {name: foreseen[name] for name in difference} == difference
        assert (foreseen["catalogue_version"], await world.ids()) == ("1", ["small", "long"])
        done = accepted(await world.operator.ask("POST", "admin/models:reload"))
        assert {name: done[name] for name in difference} == difference
        assert (done["catalogue_version"], await world.ids()) == ("2", ["small", "other"])
        again = accepted(await world.operator.ask("POST", "admin/models:reload"))
        assert (again["catalogue_version"], again["changed"]) == ("2", [])


async def test_an_administrators_word_outlives_the_file_and_the_process(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database) as world:
        path = "admin/models/long"
        chat_id = await world.client.chat(model="long")
        entry = accepted(await world.operator.ask("PATCH", path, {"enabled": False, "expected_version": 0}))
        assert (entry["enabled"], entry["version"]) == (False, 1)
        assert await world.ids() == ["small"]
        stale = await world.operator.ask("PATCH", path, {"enabled": True, "expected_version": 0})
        assert (stale.status, stale.json()["current_version"]) == (409, 1)
        missing = await world.operator.ask("PATCH", "admin/models/none", {"enabled": True})
        assert (missing.status, missing.json()["code"]) == (404, "model_not_found")
        done = await (await world.client.told(chat_id)).end()
        assert (done.data["effective_model"], done.data["downgrade_from"]) == ("small", "long")
        world.write(SMALL, LONG, OTHER)
        await world.shows("small", "other")
    async with a_world(tmp_path, database) as world:
        assert await world.ids() == ["small"]
        accepted(await world.operator.ask("PATCH", path, {"enabled": True}))
        assert await world.ids() == ["small", "long"]


async def test_users_see_nothing_of_it(tmp_path: Path, database: Database) -> None:
    async with a_world(tmp_path, database) as world:
        for method, path, body in [
            ("GET", "admin/models", None),
            ("POST", "admin/models:reload", None),
            ("PATCH", "admin/models/small", {"enabled": False}),
        ]:
            answer = await world.client.ask(method, path, body)
            assert (answer.status, answer.json()["code"]) == (403, "forbidden")

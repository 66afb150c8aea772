"""No query string reaches the database unless every part of it is understood."""

from collections.abc import AsyncIterator
from typing import cast

import pytest

from api.rest.cursor import CursorKeys, Cursors
from api.rest.routes import RestServices
from app.drain import DrainSwitch
from app.http_app import create_http_app
from domain.auth.policy import Policy
from domain.catalogue.service import ModelService
from domain.clock import SystemClock
from tests.contract.http.world import CHATS, KnownPeople
from tests.fakes.limits import unlimited
from tests.fakes.providers import FunctionProvider, saying
from tests.harness.bridge import Answer, App, request
from tests.harness.engine import MODEL, Engine, FixedCatalogue, running_engine
from tests.harness.hostile_queries import HOSTILE, Refusal
from tests.harness.postgres import Database
from tests.harness.statements import StatementCounter

pytestmark = pytest.mark.postgres

HEADERS = {"Authorization": "Bearer ann", "Content-Type": "application/json"}


class World:
    def __init__(self, engine: Engine) -> None:
        policy = Policy()
        services = RestServices(
            chats=engine.chats,
            messages=engine.messages,
            models=ModelService(policy, FixedCatalogue(MODEL)),
            verifier=KnownPeople(),
            policy=policy,
            rates=unlimited(),
            cursors=Cursors(CursorKeys(current=b"k" * 32)),
            drain=DrainSwitch(),
            checks={},
        )
        self.pools = engine.pools
        self._app = cast("App", create_http_app(services, clock=SystemClock()))

    async def get(self, target: str) -> Answer:
        return await request(self._app, "GET", target, HEADERS)

    async def cursor(self) -> str:
        """Of the second of two chats, in the order of the list."""
        for _ in range(2):
            assert (await request(self._app, "POST", CHATS, HEADERS, b"{}")).status == 201
        page = (await self.get(f"{CHATS}?limit=1")).json()
        cursor: str = page["page_info"]["next_cursor"]
        return cursor


def refusal_in(answer: Answer) -> Refusal:
    problem = answer.json()
    faults = [(fault["field"], fault["code"]) for fault in problem.get("errors", [])]
    return Refusal(answer.status, problem["code"], *(faults[0] if faults else ()))


@pytest.fixture
async def world(database: Database) -> AsyncIterator[World]:
    async with running_engine(database.dsn, FunctionProvider(saying("a"))) as engine:
        yield World(engine)


async def test_no_hostile_query_reaches_the_database(world: World) -> None:
    cursor = await world.cursor()
    async with StatementCounter(world.pools.requests, world.pools.reserved) as sent:
        answers = {name: await world.get(f"{CHATS}?{hostile.query(cursor)}") for name, hostile in HOSTILE.items()}
    assert {name: refusal_in(answer) for name, answer in answers.items()} == {
        name: hostile.refusal for name, hostile in HOSTILE.items()
    }
    assert max(len(answer.body) for answer in answers.values()) < 1024
    assert sent.statements == []


async def test_a_query_that_is_understood_does_reach_the_database(world: World) -> None:
    cursor = await world.cursor()
    async with StatementCounter(world.pools.requests, world.pools.reserved) as sent:
        assert (await world.get(f"{CHATS}?cursor={cursor}")).status == 200
    assert sent.count > 0


async def test_options_are_looked_at_before_the_parent_is(world: World) -> None:
    missing = f"{CHATS}/0198c0de-79f0-7a01-9d00-1b2c3d4e5f60/messages"
    async with StatementCounter(world.pools.requests, world.pools.reserved) as sent:
        for query, status in (("$filter=title", 422), ("$orderby=title", 422), ("$select=x", 400), ("cursor=x", 422)):
            assert (await world.get(f"{missing}?{query}")).status == status
    assert sent.statements == []
    assert (await world.get(missing)).json()["code"] == "chat_not_found"

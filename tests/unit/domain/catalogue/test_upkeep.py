"""The catalogue follows its source; a bad one, or a database that is away, changes nothing."""

from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from msgspec.structs import replace

from domain.auth.policy import Policy, Role
from domain.catalogue.administration import CatalogueAdministration
from domain.catalogue.live import LiveCatalogue
from domain.catalogue.models import ModelSpec
from domain.catalogue.ports import Override, Overrides
from domain.catalogue.upkeep import CatalogueUpkeep
from domain.clock import SystemClock
from domain.errors import CatalogueInvalid, ServiceUnavailable
from domain.scope import AccessScope
from domain.telemetry.ports import SilentTelemetry
from domain.unit_of_work import Access
from tests.harness.engine import a_user
from tests.unit.domain.switches.samples import NOW

A = ModelSpec(id="a", provider_id="p", provider_model_id="x", is_default=True)
B = ModelSpec(id="b", provider_id="p", provider_model_id="y", sort_order=-1)


class World:
    """The source, the book and the reader of overrides."""

    def __init__(self) -> None:
        self.content: tuple[ModelSpec, ...] | None = (A,)
        self.signed = 0
        self.reads = 0
        self.known: list[tuple[ModelSpec, ...]] = []
        self.said = Overrides(revision=0, overrides=[])
        self.is_away = False
        self.catalogue = LiveCatalogue((A,), NOW)
        self.upkeep = CatalogueUpkeep(self.catalogue, self, self, self, SystemClock(), SilentTelemetry())

    def put(self, *models: ModelSpec) -> None:
        self.content, self.signed = models or None, self.signed + 1

    async def signature(self) -> object:
        return self.signed

    async def read(self) -> tuple[ModelSpec, ...]:
        self.reads += 1
        if self.content is None:
            raise CatalogueInvalid
        return self.content

    async def record(self, models: tuple[ModelSpec, ...]) -> int:
        if self.is_away:
            raise ServiceUnavailable
        if models not in self.known:
            self.known.append(models)
        return self.known.index(models) + 1

    async def overrides(self, known: int | None) -> Overrides | None:
        return None if self.said.revision == known else self.said

    def ids(self) -> list[str]:
        return [model.id for model in self.catalogue.models() if model.enabled]


@pytest.fixture
async def world() -> World:
    world = World()
    await world.upkeep.look()
    return world


def test_a_catalogue_is_not_known_before_it_was_recorded() -> None:
    fresh = World()
    assert not fresh.catalogue.is_known
    with pytest.raises(ServiceUnavailable):
        _ = fresh.catalogue.version


async def test_new_content_comes_into_force_under_the_next_version(world: World) -> None:
    assert (world.catalogue.is_known, world.catalogue.version) == (True, 1)
    world.put(A, B)
    await world.upkeep.look()
    assert (world.ids(), world.catalogue.version) == (["b", "a"], 2)


async def test_content_that_comes_back_has_the_version_it_had(world: World) -> None:
    for models in ((A, B), (A,)):
        world.put(*models)
        await world.upkeep.look()
    assert world.catalogue.version == 1


async def test_a_bad_catalogue_leaves_the_last_good_one_in_force_and_is_looked_at_once(world: World) -> None:
    world.put()
    reads = world.reads
    for _ in range(3):
        await world.upkeep.look()
    assert (world.ids(), world.catalogue.version, world.reads) == (["a"], 1, reads + 1)


async def test_content_that_could_not_be_recorded_is_tried_again(world: World) -> None:
    world.put(B)
    world.is_away = True
    with pytest.raises(ServiceUnavailable):
        await world.upkeep.look()
    assert world.ids() == ["a"]
    world.is_away = False
    await world.upkeep.look()
    assert world.ids() == ["b"]


async def test_an_administrators_word_wins_over_every_content(world: World) -> None:
    world.said = Overrides(revision=1, overrides=[Override(model_id="a", enabled=False, version=1)])
    await world.upkeep.look()
    assert world.ids() == []
    world.put(A, replace(B, enabled=False))
    await world.upkeep.look()
    assert world.ids() == []
    world.said = Overrides(
        revision=3,
        overrides=[Override(model_id="a", enabled=True, version=2), Override(model_id="b", enabled=True, version=1)],
    )
    await world.upkeep.look()
    assert [(entry.model.id, entry.version) for entry in world.catalogue.entries()] == [("b", 1), ("a", 2)]
    assert world.ids() == ["b", "a"]


async def test_an_older_word_never_takes_the_place_of_a_newer_one(world: World) -> None:
    world.catalogue.override(Overrides(revision=5, overrides=[Override(model_id="a", enabled=False, version=2)]))
    world.catalogue.override(Overrides(revision=4, overrides=[Override(model_id="a", enabled=True, version=1)]))
    assert world.ids() == []


async def test_a_reload_that_cannot_be_put_down_in_the_books_does_not_happen(world: World) -> None:
    def away(scope: AccessScope, access: Access = Access.WRITE) -> AbstractAsyncContextManager[Any]:
        raise ServiceUnavailable

    async def tell() -> None: ...

    administration = CatalogueAdministration(away, Policy(), world.catalogue, world, world.upkeep, tell, SystemClock())
    world.put(A, B)
    with pytest.raises(ServiceUnavailable):
        await administration.reload(replace(a_user(), roles=frozenset({Role.ADMIN})), dry_run=False)
    assert world.ids() == ["a"]

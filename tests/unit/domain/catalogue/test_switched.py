"""Which models users meet at a moment."""

from datetime import UTC, datetime, timedelta

from domain.catalogue.models import ModelSpec
from domain.catalogue.switched import SwitchedCatalogue
from domain.providers.request import Purpose
from domain.switches.board import Switchboard
from domain.switches.models import Switch, SwitchScope
from domain.switches.ports import Standing
from tests.harness.engine import FixedCatalogue
from tests.unit.domain.switches.samples import LATER, NOW, a_switch

NEAR = ModelSpec(id="near", provider_id="ours", provider_model_id="x")
FAR = ModelSpec(id="far", provider_id="theirs", provider_model_id="y")
SOON = ModelSpec(id="soon", provider_id="ours", provider_model_id="z", available_from=LATER)
TITLES = ModelSpec(id="titles", provider_id="ours", provider_model_id="t", purposes=(Purpose.TITLE,))


class Hands:
    """A clock that is set by hand."""

    def __init__(self, now: datetime) -> None:
        self.shown = now

    def now(self) -> datetime:
        return self.shown

    def monotonic(self) -> float:
        raise AssertionError


class Reader:
    def __init__(self, *switches: Switch) -> None:
        self.switches = switches

    async def standing(self, known: int | None) -> Standing | None:
        return Standing(revision=1, switches=self.switches, age_s=0)


async def offered_at(now: datetime, models: tuple[ModelSpec, ...], *switches: Switch) -> list[str]:
    board = Switchboard(Reader(*switches))
    await board.refresh()
    catalogue = SwitchedCatalogue(FixedCatalogue(*models), board, Hands(now))
    return [model.id for model in catalogue.models() if model.enabled]


async def test_without_switches_the_catalogue_is_handed_on_as_it_is() -> None:
    board = Switchboard(Reader())
    models = (NEAR, FAR)
    fixed = FixedCatalogue(*models)
    assert SwitchedCatalogue(fixed, board, Hands(NOW)).models() is fixed.models()


async def test_a_model_and_the_models_of_a_provider_can_be_closed_until_the_switch_expires() -> None:
    assert await offered_at(NOW, (NEAR, FAR), a_switch(SwitchScope.MODEL, "near")) == ["far"]
    switch = a_switch(SwitchScope.PROVIDER, "theirs", expires_at=LATER)
    assert await offered_at(NOW, (NEAR, FAR), switch) == ["near"]
    assert await offered_at(LATER, (NEAR, FAR), switch) == ["near", "far"]


async def test_a_model_is_there_from_its_time_on() -> None:
    assert await offered_at(LATER - timedelta(microseconds=1), (NEAR, SOON)) == ["near"]
    assert await offered_at(LATER, (NEAR, SOON)) == ["near", "soon"]


async def test_models_for_other_purposes_are_not_offered_for_chats() -> None:
    assert await offered_at(datetime.now(UTC), (NEAR, TITLES)) == ["near"]

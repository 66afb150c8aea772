"""Which model works for the system, and when none may (engine.md 5.4, 6.3)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from domain.catalogue.models import ModelSpec, Tier
from domain.clock import SystemClock
from domain.errors import ServiceUnavailable
from domain.providers.request import Purpose
from domain.switches.board import Switchboard
from domain.switches.models import Switch, SwitchScope
from domain.switches.ports import Standing
from domain.system_calls.choosing import SystemModels
from domain.system_calls.models import RefusedFor, SystemCallRefused, SystemTask
from tests.unit.domain.switches.samples import OTHER_TENANT, TENANT, a_switch

CHATTY = ModelSpec(id="chatty", provider_id="test", provider_model_id="remote", is_default=True)
LARGE = replace(CHATTY, id="large", tier=Tier.PREMIUM, is_default=False)
SHORT = replace(LARGE, id="short", provider_id="cheap", tier=Tier.STANDARD, purposes=(Purpose.TITLE,))
SHORTER = replace(SHORT, id="shorter", provider_id="cheaper")
MODELS = (CHATTY, LARGE, SHORT, SHORTER)
NOTHING: Mapping[SystemTask, str] = {}


class Catalogue:
    version = 7

    def __init__(self, models: tuple[ModelSpec, ...]) -> None:
        self._models = models

    def models(self) -> tuple[ModelSpec, ...]:
        return self._models


class Reader:
    def __init__(self, switches: tuple[Switch, ...]) -> None:
        self._switches = switches

    async def standing(self, known: int | None) -> Standing:
        return Standing(revision=(known or 0) + 1, switches=self._switches, age_s=0)


async def desk(
    *switches: Switch, models: tuple[ModelSpec, ...] = MODELS, configured: Mapping[SystemTask, str] = NOTHING
) -> SystemModels:
    board = Switchboard(Reader(switches))
    await board.refresh()
    return SystemModels(Catalogue(models), board, configured, SystemClock())


def title(models: SystemModels) -> str:
    return models.choose(TENANT, SystemTask.TITLE, "chatty").id


def summary(models: SystemModels, chat_model: str = "large") -> str:
    return models.choose(TENANT, SystemTask.SUMMARY, chat_model).id


async def test_a_model_that_is_meant_for_it_comes_before_the_chats_own() -> None:
    models = await desk()
    assert (title(models), summary(models), summary(models, "chatty")) == ("short", "large", "chatty")


async def test_a_model_that_was_configured_comes_before_all() -> None:
    assert title(await desk(configured={SystemTask.TITLE: "shorter"})) == "shorter"


CLOSED = [
    ((SwitchScope.GLOBAL, None), RefusedFor.SWITCHED_OFF),
    ((SwitchScope.TENANT, str(TENANT)), RefusedFor.SWITCHED_OFF),
    ((SwitchScope.FEATURE, "summary"), RefusedFor.SWITCHED_OFF),
    ((SwitchScope.FEATURE, "premium_tier"), RefusedFor.NO_MODEL),
    ((SwitchScope.MODEL, "large"), RefusedFor.NO_MODEL),
    ((SwitchScope.PROVIDER, "test"), RefusedFor.NO_MODEL),
]


@pytest.mark.parametrize(("switch", "reason"), CLOSED)
async def test_what_is_switched_off_is_not_called(switch: tuple[SwitchScope, str | None], reason: RefusedFor) -> None:
    models = await desk(a_switch(*switch))
    with pytest.raises(SystemCallRefused) as refusal:
        summary(models)
    assert refusal.value.reason is reason


SPARING = [
    (SwitchScope.TENANT, str(OTHER_TENANT)),
    (SwitchScope.FEATURE, "titles"),
    (SwitchScope.FEATURE, "images"),
    (SwitchScope.MODEL, "short"),
    (SwitchScope.PROVIDER, "cheap"),
]


@pytest.mark.parametrize("switch", SPARING)
async def test_a_switch_of_something_else_stops_nothing(switch: tuple[SwitchScope, str]) -> None:
    assert summary(await desk(a_switch(*switch))) == "large"


async def test_a_configured_model_that_is_closed_is_not_replaced() -> None:
    closed = a_switch(SwitchScope.MODEL, "shorter")
    with pytest.raises(SystemCallRefused):
        title(await desk(closed, configured={SystemTask.TITLE: "shorter"}))


async def test_a_closed_model_makes_way_for_the_next_that_is_meant_for_it() -> None:
    cheap, cheaper = (a_switch(SwitchScope.PROVIDER, name) for name in ("cheap", "cheaper"))
    assert title(await desk(cheap)) == "shorter"
    with pytest.raises(SystemCallRefused):
        title(await desk(cheap, cheaper))


ABSENT: list[dict[str, Any]] = [{"enabled": False}, {"available_from": SystemClock().now() + timedelta(days=1)}]


@pytest.mark.parametrize("members", ABSENT)
async def test_a_model_that_is_not_there_is_not_called(members: dict[str, Any]) -> None:
    models = await desk(models=(replace(LARGE, **members),))
    with pytest.raises(SystemCallRefused) as refusal:
        summary(models)
    assert refusal.value.reason is RefusedFor.NO_MODEL


async def test_nobody_is_called_before_it_is_known_what_is_switched_off() -> None:
    models = SystemModels(Catalogue(MODELS), Switchboard(Reader(())), NOTHING, SystemClock())
    with pytest.raises(ServiceUnavailable):
        summary(models)

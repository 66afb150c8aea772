"""The table of api.md 3.10: what each scope and mode does to a send, a model and a running turn."""

from datetime import timedelta
from itertools import product

import pytest

from domain.errors import DomainError, GenerationDisabled, ImagesDisabled, WebSearchDisabled
from domain.switches.models import Feature, SwitchMode, SwitchName, SwitchScope, Tool, TurnFacts, Wants
from domain.switches.rules import concerns
from tests.unit.domain.switches.samples import LATER, NOW, OTHER_TENANT, TENANT, a_switch, state

EVERYTHING = Wants(web_search=True, images=True)
TURN = TurnFacts(
    tenant_id=TENANT,
    model="large",
    provider_id="cloud",
    is_premium=True,
    tools=frozenset({Tool.WEB_SEARCH, Tool.FILE_SEARCH}),
    with_images=True,
)
OTHER = TurnFacts(tenant_id=OTHER_TENANT, model="small", provider_id="local", is_premium=False)

NAMES = [
    (SwitchScope.GLOBAL, None),
    (SwitchScope.TENANT, str(TENANT)),
    (SwitchScope.MODEL, "large"),
    (SwitchScope.PROVIDER, "cloud"),
    (SwitchScope.TOOL, "web_search"),
    (SwitchScope.TOOL, "file_search"),
    (SwitchScope.TOOL, "code_interpreter"),
    (SwitchScope.TOOL, "function_call"),
    (SwitchScope.FEATURE, "images"),
    (SwitchScope.FEATURE, "premium_tier"),
    (SwitchScope.FEATURE, "force_standard_tier"),
    (SwitchScope.FEATURE, "titles"),
    (SwitchScope.FEATURE, "summary"),
]
REFUSED = {
    (SwitchScope.GLOBAL, None): GenerationDisabled,
    (SwitchScope.TENANT, str(TENANT)): GenerationDisabled,
    (SwitchScope.TOOL, "web_search"): WebSearchDisabled,
    (SwitchScope.FEATURE, "images"): ImagesDisabled,
}
NOT_CONCERNED = {
    (SwitchScope.TOOL, "code_interpreter"),
    (SwitchScope.TOOL, "function_call"),
    (SwitchScope.FEATURE, "titles"),
    (SwitchScope.FEATURE, "summary"),
}


@pytest.mark.parametrize(("name", "mode"), list(product(NAMES, SwitchMode)))
def test_each_scope_refuses_what_it_is_about_in_both_modes(name: tuple[SwitchScope, str], mode: SwitchMode) -> None:
    found = state(a_switch(*name, mode))
    refusal: type[DomainError] | None = REFUSED.get(name)
    if refusal is None:
        found.refuse(TENANT, EVERYTHING, NOW)
    else:
        with pytest.raises(refusal):
            found.refuse(TENANT, EVERYTHING, NOW)


@pytest.mark.parametrize(("name", "mode"), list(product(NAMES, SwitchMode)))
def test_only_the_mode_abort_ends_turns_and_only_those_in_scope(
    name: tuple[SwitchScope, str], mode: SwitchMode
) -> None:
    found = state(a_switch(*name, mode))
    ends = mode is SwitchMode.ABORT and name not in NOT_CONCERNED
    assert (found.aborting(TURN, NOW) is not None) == ends
    assert (found.aborting(OTHER, NOW) is not None) == (ends and name[0] is SwitchScope.GLOBAL)


def test_what_a_message_does_not_ask_for_is_not_refused() -> None:
    off = state(a_switch(SwitchScope.TOOL, "web_search"), a_switch(SwitchScope.FEATURE, "images"))
    off.refuse(TENANT, Wants(), NOW)


def test_a_switch_of_one_tenant_leaves_the_others_alone() -> None:
    state(a_switch(SwitchScope.TENANT, str(TENANT))).refuse(OTHER_TENANT, EVERYTHING, NOW)


def test_generation_is_refused_before_a_tool_is() -> None:
    off = state(a_switch(SwitchScope.TOOL, "web_search"), a_switch(SwitchScope.GLOBAL, None))
    with pytest.raises(GenerationDisabled):
        off.refuse(TENANT, EVERYTHING, NOW)


def test_a_switch_holds_until_the_moment_it_expires() -> None:
    off = state(a_switch(SwitchScope.GLOBAL, None, SwitchMode.ABORT, expires_at=LATER))
    just_before = LATER - timedelta(microseconds=1)
    with pytest.raises(GenerationDisabled):
        off.refuse(TENANT, Wants(), just_before)
    assert off.aborting(TURN, just_before) is not None
    off.refuse(TENANT, Wants(), LATER)
    assert off.aborting(TURN, LATER) is None


def test_a_switch_that_was_cleared_holds_nothing() -> None:
    off = state(a_switch(SwitchScope.GLOBAL, None, SwitchMode.ABORT, cleared_at=NOW))
    off.refuse(TENANT, Wants(), NOW)
    assert off.aborting(TURN, NOW) is None


def test_when_to_come_back_is_told_when_all_that_holds_expires() -> None:
    first = a_switch(SwitchScope.GLOBAL, None, expires_at=LATER)
    last = a_switch(SwitchScope.TENANT, str(TENANT), expires_at=LATER + timedelta(hours=1))
    for_ever = a_switch(SwitchScope.TENANT, str(TENANT))
    for switches, retry_after in [
        ((first,), timedelta(minutes=10)),
        ((first, last), timedelta(minutes=70)),
        ((first, for_ever), None),
    ]:
        with pytest.raises(GenerationDisabled) as refusal:
            state(*switches).refuse(TENANT, Wants(), NOW)
        assert refusal.value.retry_after == retry_after


def test_a_model_is_closed_by_its_own_switch_or_by_that_of_its_provider() -> None:
    by_model, by_provider = state(a_switch(SwitchScope.MODEL, "large")), state(a_switch(SwitchScope.PROVIDER, "cloud"))
    assert by_model.closes("large", "cloud", NOW)
    assert by_provider.closes("large", "cloud", NOW)
    assert not by_model.closes("cloud", "large", NOW)
    assert not by_provider.closes("cloud", "large", NOW)


def test_forcing_the_standard_tier_is_told_before_closing_the_premium_one() -> None:
    closed = a_switch(SwitchScope.FEATURE, "premium_tier")
    forced = a_switch(SwitchScope.FEATURE, "force_standard_tier")
    assert state().closes_premium(NOW) is None
    assert state(closed).closes_premium(NOW) is Feature.PREMIUM_TIER
    assert state(closed, forced).closes_premium(NOW) is Feature.FORCE_STANDARD_TIER


def test_tools_that_are_off_are_withheld() -> None:
    off = state(a_switch(SwitchScope.TOOL, "code_interpreter"), a_switch(SwitchScope.FEATURE, "images"))
    assert off.withheld_tools(NOW) == {Tool.CODE_INTERPRETER}


def test_a_name_concerns_a_turn_whatever_the_mode() -> None:
    assert [concerns(SwitchName(*name), TURN) for name in NAMES] == [name not in NOT_CONCERNED for name in NAMES]

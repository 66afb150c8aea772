"""What the switches of one moment mean for a send, a model and a running turn (api.md 3.10). Pure."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from domain.errors import GenerationDisabled, ImagesDisabled, WebSearchDisabled
from domain.ids import TenantId
from domain.switches.models import Feature, Switch, SwitchName, SwitchScope, Tool, TurnFacts, Wants

EVERYTHING = SwitchName(SwitchScope.GLOBAL, None)

_OF_TIERS = frozenset({Feature.PREMIUM_TIER, Feature.FORCE_STANDARD_TIER})
"""Switches of what the system does by itself concern no turn."""


class SwitchState(msgspec.Struct, frozen=True, kw_only=True):
    """Never changed: another moment has another one. A switch that expires stops holding by itself."""

    switches: Mapping[SwitchName, Switch] = {}

    def holds(self, scope: SwitchScope, target: str, now: datetime) -> bool:
        switch = self.switches.get(SwitchName(scope, target))
        return switch is not None and switch.holds(now)

    def refuse(self, tenant_id: TenantId, wants: Wants, now: datetime) -> None:
        """Raises GenerationDisabled for a send of this tenant, then WebSearchDisabled or ImagesDisabled."""
        names = (EVERYTHING, SwitchName(SwitchScope.TENANT, str(tenant_id)))
        holding = [switch for name in names if (switch := self.switches.get(name)) is not None and switch.holds(now)]
        if holding:
            ends = [switch.expires_at for switch in holding if switch.expires_at is not None]
            raise GenerationDisabled(retry_after=max(ends) - now if len(ends) == len(holding) else None)
        if wants.web_search and self.holds(SwitchScope.TOOL, Tool.WEB_SEARCH, now):
            raise WebSearchDisabled
        if wants.images and self.holds(SwitchScope.FEATURE, Feature.IMAGES, now):
            raise ImagesDisabled

    def closes(self, model_id: str, provider_id: str, now: datetime) -> bool:
        """Whether the model counts as disabled."""
        return self.holds(SwitchScope.MODEL, model_id, now) or self.holds(SwitchScope.PROVIDER, provider_id, now)

    def closes_premium(self, now: datetime) -> Feature | None:
        """Which feature keeps premium models from being used; forcing the standard tier is told first."""
        features = (Feature.FORCE_STANDARD_TIER, Feature.PREMIUM_TIER)
        return next((each for each in features if self.holds(SwitchScope.FEATURE, each, now)), None)

    def withheld_tools(self, now: datetime) -> frozenset[Tool]:
        """The tools that no model is offered."""
        return frozenset(tool for tool in Tool if self.holds(SwitchScope.TOOL, tool, now))

    def closes_summaries(self, now: datetime) -> bool:
        return self.holds(SwitchScope.FEATURE, Feature.SUMMARY, now)

    def aborting(self, turn: TurnFacts, now: datetime) -> Switch | None:
        """A switch that ends this running turn, if there is one."""
        return next((each for each in self.switches.values() if each.aborts(now) and concerns(each.name, turn)), None)


def concerns(name: SwitchName, turn: TurnFacts) -> bool:
    """Whether a switch of this name is about the turn."""
    match name.scope:
        case SwitchScope.GLOBAL:
            return True
        case SwitchScope.TENANT:
            return name.target == str(turn.tenant_id)
        case SwitchScope.MODEL:
            return name.target == turn.model
        case SwitchScope.PROVIDER:
            return name.target == turn.provider_id
        case SwitchScope.TOOL:
            return name.target in turn.tools
        case SwitchScope.FEATURE:
            return turn.with_images if name.target == Feature.IMAGES else turn.is_premium and name.target in _OF_TIERS

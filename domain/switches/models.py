"""Kill switches: what an operator has turned off, for whom, and until when (engine.md 5.4, api.md 3.10)."""

from datetime import datetime
from enum import StrEnum
from typing import NewType
from uuid import UUID

import msgspec

from domain.ids import TenantId, UserId

SwitchId = NewType("SwitchId", UUID)


class SwitchScope(StrEnum):
    GLOBAL = "global"
    TENANT = "tenant"
    MODEL = "model"
    PROVIDER = "provider"
    TOOL = "tool"
    FEATURE = "feature"


class SwitchMode(StrEnum):
    """ADMISSION refuses what is new; ABORT ends what runs as well."""

    ADMISSION = "admission"
    ABORT = "abort"


class Tool(StrEnum):
    WEB_SEARCH = "web_search"
    FILE_SEARCH = "file_search"
    CODE_INTERPRETER = "code_interpreter"
    FUNCTION_CALL = "function_call"


class Feature(StrEnum):
    IMAGES = "images"
    PREMIUM_TIER = "premium_tier"
    FORCE_STANDARD_TIER = "force_standard_tier"
    TITLES = "titles"
    SUMMARY = "summary"


class SwitchName(msgspec.Struct, frozen=True):
    """There is at most one switch under a name. `target` is None for the scope `global` alone."""

    scope: SwitchScope
    target: str | None


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """The newest version of a switch: each change adds one. One that was cleared keeps what it said."""

    id: SwitchId
    name: SwitchName
    mode: SwitchMode
    reason: str
    version: int
    created_by: UserId
    created_at: datetime
    expires_at: datetime | None = None
    cleared_at: datetime | None = None

    def holds(self, now: datetime) -> bool:
        return self.cleared_at is None and (self.expires_at is None or now < self.expires_at)

    def aborts(self, now: datetime) -> bool:
        return self.mode is SwitchMode.ABORT and self.holds(now)


class TurnFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What of a turn a switch can be about; model and provider are the effective ones."""

    tenant_id: TenantId
    model: str
    provider_id: str
    is_premium: bool
    tools: frozenset[Tool] = frozenset()
    with_images: bool = False


class Wants(msgspec.Struct, frozen=True, kw_only=True):
    """What a message asks for beside an answer."""

    web_search: bool = False
    images: bool = False

"""The models a deployment offers."""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

from domain.providers.request import Deadlines


class Tier(StrEnum):
    STANDARD = "standard"
    PREMIUM = "premium"


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One catalogue entry. `id` is public; `provider_id` and `provider_model_id` never leave the server."""

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")]
    provider_id: str
    provider_model_id: str
    tier: Tier = Tier.STANDARD
    display_name: str = ""
    description: str | None = None
    multiplier_display: str | None = None
    multimodal_capabilities: tuple[str, ...] = ()
    enabled: bool = True
    is_default: bool = False
    sort_order: int = 0
    context_window: Annotated[int, Meta(gt=0)] = 128_000
    max_input_tokens: Annotated[int, Meta(gt=0)] = 96_000
    max_output_tokens: Annotated[int, Meta(gt=0)] = 4_096
    exposes_reasoning: bool = False
    system_prompt: str = ""
    api_params: dict[str, object] = msgspec.field(default_factory=dict)
    deadlines: Deadlines = Deadlines()


class Estimation(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens are estimated where nobody counted them (engine.md 4.3)."""

    bytes_per_token: Annotated[int, Meta(ge=1, le=16)] = 4
    fixed_overhead: Annotated[int, Meta(ge=0, le=10_000)] = 100
    margin_pct: Annotated[int, Meta(ge=0, le=200)] = 10
    generation_floor: Annotated[int, Meta(ge=1)] = 50

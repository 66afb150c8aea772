"""The models a deployment offers."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from domain.providers.request import Deadlines, Purpose

MOST_TOKENS: Final = 10_000_000
"""More than any model takes or gives; credits are computed within this bound."""

PriceMicro = Annotated[int, Meta(ge=1, le=10_000_000_000)]
Tokens = Annotated[int, Meta(gt=0, le=MOST_TOKENS)]


class Tier(StrEnum):
    STANDARD = "standard"
    PREMIUM = "premium"


class Estimation(msgspec.Struct, frozen=True, kw_only=True):
    """How tokens are estimated where nobody counted them (engine.md 4.3)."""

    bytes_per_token: Annotated[int, Meta(ge=1, le=16)] = 4
    fixed_overhead: Annotated[int, Meta(ge=0, le=10_000)] = 100
    margin_pct: Annotated[int, Meta(ge=0, le=200)] = 10
    generation_floor: Annotated[int, Meta(ge=1)] = 50
    image: Annotated[int, Meta(ge=0)] = 1_000
    file_search: Annotated[int, Meta(ge=0)] = 500
    web_search: Annotated[int, Meta(ge=0)] = 500
    code_interpreter: Annotated[int, Meta(ge=0)] = 1_000


class EstimationBudgets(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What one model wants estimated in another way than the deployment does (engine.md 5.1); None: as that does."""

    bytes_per_token_conservative: Annotated[int, Meta(ge=1, le=16)] | None = None
    fixed_overhead_tokens: Annotated[int, Meta(ge=0, le=10_000)] | None = None
    safety_margin_pct: Annotated[int, Meta(ge=0, le=200)] | None = None
    image_token_budget: Annotated[int, Meta(ge=0)] | None = None
    tool_surcharge_tokens: Annotated[int, Meta(ge=0)] | None = None
    web_search_surcharge_tokens: Annotated[int, Meta(ge=0)] | None = None
    code_interpreter_surcharge_tokens: Annotated[int, Meta(ge=0)] | None = None
    minimal_generation_floor: Annotated[int, Meta(ge=1)] | None = None

    def over(self, common: Estimation) -> Estimation:
        return Estimation(
            bytes_per_token=_own(self.bytes_per_token_conservative, common.bytes_per_token),
            fixed_overhead=_own(self.fixed_overhead_tokens, common.fixed_overhead),
            margin_pct=_own(self.safety_margin_pct, common.margin_pct),
            generation_floor=_own(self.minimal_generation_floor, common.generation_floor),
            image=_own(self.image_token_budget, common.image),
            file_search=_own(self.tool_surcharge_tokens, common.file_search),
            web_search=_own(self.web_search_surcharge_tokens, common.web_search),
            code_interpreter=_own(self.code_interpreter_surcharge_tokens, common.code_interpreter),
        )


def _own(own: int | None, common: int) -> int:
    return common if own is None else own


class ToolSupport(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tools the model may be given; one is only attached where its provider can carry it too."""

    web_search: bool = False
    file_search: bool = False
    image_generation: bool = False
    code_interpreter: bool = False
    mcp: bool = False


class ModelSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One catalogue entry. `id` is public; `provider_id` and `provider_model_id` never leave the server.

    Prices are micro-credits for a million tokens; they never leave it either. Users see the model from
    `available_from` on, and pick it if `chat` is among its `purposes`.
    """

    id: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._:@-]{1,128}$")]
    provider_id: str
    provider_model_id: str
    tier: Tier = Tier.STANDARD
    display_name: str = ""
    description: str | None = None
    provider_display_name: str = ""
    icon: str = ""
    multiplier_display: str | None = None
    multimodal_capabilities: tuple[str, ...] = ()
    purposes: tuple[Purpose, ...] = (Purpose.CHAT,)
    available_from: Annotated[datetime, Meta(tz=True)] | None = None
    enabled: bool = True
    is_default: bool = False
    sort_order: int = 0
    context_window: Tokens = 128_000
    max_input_tokens: Tokens = 96_000
    max_output_tokens: Tokens = 4_096
    input_tokens_credit_multiplier_micro: PriceMicro = 1_000_000
    output_tokens_credit_multiplier_micro: PriceMicro = 1_000_000
    estimation_budgets: EstimationBudgets = EstimationBudgets()
    exposes_reasoning: bool = False
    tool_support: ToolSupport = ToolSupport()
    max_num_results: Annotated[int, Meta(ge=1, le=100)] = 20
    web_search_context_size: Literal["low", "medium", "high"] = "low"
    max_tool_calls: Annotated[int, Meta(ge=1, le=100)] = 2
    max_file_size_mb: Annotated[int, Meta(ge=1, le=25)] = 25
    system_prompt: str = ""
    thread_summary_prompt: str = ""
    api_params: dict[str, object] = msgspec.field(default_factory=dict)
    deadlines: Deadlines = Deadlines()
    fallback_model: str | None = None

"""What an operator may say about one provider (providers-and-files.md 3.1)."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta


class ProviderKind(StrEnum):
    SCRIPTED = "scripted"
    OPENAI_CHAT = "openai_chat"
    INFERENCE_HTTP = "inference_http"
    OPENAI_RESPONSES = "openai_responses"
    ANTHROPIC = "anthropic"


class Flavour(StrEnum):
    """Sets defaults and nothing else."""

    OPENAI = "openai"
    AZURE = "azure"
    VLLM = "vllm"
    OLLAMA = "ollama"
    LITELLM = "litellm"
    GENERIC = "generic"


class ThinkTags(StrEnum):
    """Where `<think>` marks reasoning: nowhere, only first, open from the start, or anywhere."""

    OFF = "off"
    LEADING = "leading"
    PREOPENED = "preopened"
    ANYWHERE = "anywhere"


class SystemRole(StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    FOLD = "fold"


class UserField(StrEnum):
    SAFETY_IDENTIFIER = "safety_identifier"
    USER = "user"
    NONE = "none"


class ThinkingMode(StrEnum):
    """Who decides how long a model of the Messages API thinks: nobody, the model, or `thinking_budget_tokens`."""

    OFF = "off"
    ADAPTIVE = "adaptive"
    BUDGET = "budget"


class AuthSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`key` is `env:NAME` or `file:/path`; header and prefix default by flavour."""

    key: str | None = None
    header: Annotated[str, Meta(pattern=r"^[A-Za-z0-9-]{1,64}$")] | None = None
    prefix: str | None = None


class RetrySettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How often a call is tried again where nobody was reached."""

    connect: Annotated[int, Meta(ge=0, le=1)] = 1


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """None means: by kind and flavour. Values of `extra_headers` may be secret references."""

    kind: ProviderKind
    flavour: Flavour = Flavour.GENERIC
    base_url: str = ""
    chat_path: Annotated[str, Meta(pattern=r"^(/([A-Za-z0-9._~/-]|\{model\})*)?$")] | None = None
    responses_path: Annotated[str, Meta(pattern=r"^(/([A-Za-z0-9._~/-]|\{model\})*)?$")] | None = None
    api_version: Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    generate_path: Annotated[str, Meta(pattern=r"^(/[A-Za-z0-9._~/-]*)?$")] = "/generate"
    force_web_search: bool = False
    auth: AuthSettings = AuthSettings()
    extra_headers: dict[str, str] = msgspec.field(default_factory=dict)
    extra_body: dict[str, object] = msgspec.field(default_factory=dict)
    ca_file: str | None = None
    allow_http: bool = False
    allow_private_network: bool = False
    max_streams: Annotated[int, Meta(ge=1, le=10_000)] = 512
    max_frame_bytes: Annotated[int, Meta(ge=1_024, le=16 * 1024 * 1024)] | None = None
    retry: RetrySettings = RetrySettings()
    breaker_failures: Annotated[int, Meta(ge=0, le=1_000)] = 10
    lenient_media_type: bool = False
    propagate_trace: bool = True
    max_tokens_field: Annotated[str, Meta(pattern=r"^[a-z_]{0,58}tokens$")] | None = None
    usage_option: bool = True
    system_role: SystemRole = SystemRole.SYSTEM
    allow_repeated_roles: bool = False
    think_tags: ThinkTags | None = None
    user_field: UserField | None = None
    assistant_as_string: bool = False
    tool_results: bool = True
    file_search_filters: bool = True
    anthropic_version: Annotated[str, Meta(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")] = "2023-06-01"
    anthropic_beta: tuple[Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,128}$")], ...] = ()
    prompt_cache: bool = False
    web_search_tool_type: Annotated[str, Meta(pattern=r"^web_search_[0-9]{8}$")] = "web_search_20250305"
    thinking_mode: ThinkingMode = ThinkingMode.OFF
    thinking_budget_tokens: Annotated[int, Meta(ge=1_024, le=1_000_000)] = 4_096
    thinking_display: Literal["summarized", "omitted"] | None = None
    seed: Annotated[int, Meta(ge=0, le=9_999_999)] = 1
    script: Path | None = None

    @property
    def largest_frame_bytes(self) -> int:
        """As configured; the last frame of a Responses stream repeats the whole answer and so may be larger."""
        if self.max_frame_bytes is not None:
            return self.max_frame_bytes
        return (4 if self.kind is ProviderKind.OPENAI_RESPONSES else 1) * 1024 * 1024

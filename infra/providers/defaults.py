"""What exists before anybody configures anything: scripted models, and a provider per known environment variable."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import TypeAlias
from urllib.parse import urlsplit

from domain.catalogue.models import ModelSpec, ToolSupport
from infra.providers.address_guard import is_loopback_host
from infra.providers.registry import SCRIPTED
from infra.providers.settings import AuthSettings, Flavour, ProviderKind, ProviderSettings

OPENAI = "openai"
AZURE_OPENAI = "azure_openai"
ANTHROPIC = "anthropic"
_OPENAI_URL = "https://api.openai.com/v1"
_ANTHROPIC_URL = "https://api.anthropic.com"
_Named: TypeAlias = tuple[str, str, str]  # provider, our id, remote name
_NOT_IN_ID = re.compile(r"[^A-Za-z0-9._:@-]")

_SEARCHES = ToolSupport(web_search=True)
_WITH_TOOLS = "mock-tools"

_SCRIPTED_MODELS = (
    ("mock", "mock-ttft200-itl20-len60", "Mock", "Streams a short made-up answer. Needs no key."),
    ("mock-slow", "mock-ttft2000-itl150-len80", "Mock, slow", "Thinks for two seconds, then speaks slowly."),
    ("mock-long", "mock-ttft200-itl10-len1500", "Mock, long", "Speaks for about fifteen seconds."),
    ("mock-echo", "mock-ttft100-itl30-echo", "Mock, echo", "Says what you said."),
    (_WITH_TOOLS, "mock-ttft200-itl40-len60-tool2-cite3", "Mock, tools", "Searches twice and cites three sources."),
    ("mock-error", "mock-ttft200-itl40-fail12", "Mock, error", "Breaks off with an error after twelve words."),
)


def defaults_from_environment(env: Mapping[str, str]) -> tuple[dict[str, ProviderSettings], tuple[ModelSpec, ...]]:
    """Providers and models in list order, with exactly one default model.

    OPENAI_API_KEY or OPENAI_BASE_URL makes the provider `openai`; MINI_CHAT_OPENAI_MODELS names its models by
    comma, each `remote-name` or `id=remote-name`, and the first becomes the default. ANTHROPIC_API_KEY or
    ANTHROPIC_BASE_URL and MINI_CHAT_ANTHROPIC_MODELS do the same for `anthropic`, after it. A key alone changes no
    default: it may be in the environment for other reasons, and calls cost money. AZURE_OPENAI_API_KEY with
    AZURE_OPENAI_ENDPOINT makes the provider `azure_openai`; deployments have names of their own, so no models.

    A message may ask models of Anthropic itself to search the web. Another server behind its address need not know how,
    and chat completions, as OPENAI_API_KEY gets them, know no search.
    """
    providers = {SCRIPTED: ProviderSettings(kind=ProviderKind.SCRIPTED)}
    named: list[_Named] = []
    if env.get("OPENAI_API_KEY") or env.get("OPENAI_BASE_URL"):
        providers[OPENAI] = _openai(env)
        named += _named(OPENAI, env.get("MINI_CHAT_OPENAI_MODELS", ""))
    if env.get("ANTHROPIC_API_KEY") or env.get("ANTHROPIC_BASE_URL"):
        providers[ANTHROPIC] = _anthropic(env)
        named += _named(ANTHROPIC, env.get("MINI_CHAT_ANTHROPIC_MODELS", ""))
    if env.get("AZURE_OPENAI_API_KEY") and env.get("AZURE_OPENAI_ENDPOINT"):
        providers[AZURE_OPENAI] = _azure_openai(env["AZURE_OPENAI_ENDPOINT"])
    return providers, tuple(_models(named, [id_ for id_, each in providers.items() if _is_anthropic_itself(each)]))


def _openai(env: Mapping[str, str]) -> ProviderSettings:
    url = env.get("OPENAI_BASE_URL") or _OPENAI_URL
    local = is_loopback_host(_host(url))
    return ProviderSettings(
        kind=ProviderKind.OPENAI_CHAT,
        flavour=Flavour.OPENAI if _host(url) == "api.openai.com" else Flavour.GENERIC,
        base_url=url,
        auth=AuthSettings(key="env:OPENAI_API_KEY" if env.get("OPENAI_API_KEY") else None),
        allow_http=local,
        allow_private_network=local,
    )


def _anthropic(env: Mapping[str, str]) -> ProviderSettings:
    url = env.get("ANTHROPIC_BASE_URL") or _ANTHROPIC_URL
    local = is_loopback_host(_host(url))
    return ProviderSettings(
        kind=ProviderKind.ANTHROPIC,
        base_url=url,
        auth=AuthSettings(key="env:ANTHROPIC_API_KEY" if env.get("ANTHROPIC_API_KEY") else None),
        allow_http=local,
        allow_private_network=local,
    )


def _is_anthropic_itself(provider: ProviderSettings) -> bool:
    return provider.kind is ProviderKind.ANTHROPIC and _host(provider.base_url) == _host(_ANTHROPIC_URL)


def _azure_openai(endpoint: str) -> ProviderSettings:
    return ProviderSettings(
        kind=ProviderKind.OPENAI_RESPONSES,
        flavour=Flavour.AZURE,
        base_url=endpoint,
        auth=AuthSettings(key="env:AZURE_OPENAI_API_KEY"),
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _named(provider_id: str, text: str) -> Iterator[_Named]:
    for entry in filter(None, map(str.strip, text.split(","))):
        id_, equals, remote = entry.partition("=")
        yield (provider_id, id_.strip(), remote.strip()) if equals else (provider_id, _NOT_IN_ID.sub("-", entry), entry)


def _models(named: list[_Named], searching: Collection[str]) -> Iterator[ModelSpec]:
    """Those of providers in `searching` may search the web."""
    for position, (provider_id, id_, remote) in enumerate(named):
        yield ModelSpec(
            id=id_,
            provider_id=provider_id,
            provider_model_id=remote,
            display_name=remote,
            is_default=position == 0,
            sort_order=position,
            tool_support=_SEARCHES if provider_id in searching else ToolSupport(),
        )
    for position, (id_, name, title, description) in enumerate(_SCRIPTED_MODELS, start=len(named)):
        yield ModelSpec(
            id=id_,
            provider_id=SCRIPTED,
            provider_model_id=name,
            display_name=title,
            description=description,
            is_default=position == 0,
            sort_order=position,
            tool_support=_SEARCHES if id_ == _WITH_TOOLS else ToolSupport(),
        )

"""All configured providers, built closed and opened together."""

from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

import anyio

from domain.clock import Clock
from domain.providers.ports import Provider
from infra.providers.adapter import Adapter
from infra.providers.adapters.inference_http.request import InferenceHttp
from infra.providers.adapters.openai_chat.request import OpenAiChat
from infra.providers.adapters.scripted.adapter import ScriptedProvider
from infra.providers.address_guard import base_url_faults
from infra.providers.call_headers import CallHeaders, auth_header
from infra.providers.driver import HttpProvider, ResponseLimits
from infra.providers.http_pool import HttpPool
from infra.providers.secrets import Secret, UnusableReference, is_reference, resolve
from infra.providers.settings import ProviderKind, ProviderSettings

SCRIPTED = "scripted"
ADAPTERS: Final[Mapping[ProviderKind, Callable[[ProviderSettings, CallHeaders], Adapter]]] = {
    ProviderKind.OPENAI_CHAT: OpenAiChat,
    ProviderKind.INFERENCE_HTTP: InferenceHttp,
}
_SPARE_CONNECTIONS = 32
_CLOSE_WITHIN_S = 5
_RESERVED_HEADERS = {"host", "content-length", "transfer-encoding", "content-encoding", "accept-encoding", "connection"}


class InvalidProviders(Exception):
    """`faults` holds one line for each thing wrong, none of which shows a secret."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class ProviderRegistry:
    """Fills `Providers`. Calls can be made while it is entered; leaving aborts what is still open."""

    def __init__(
        self, providers: Mapping[str, Provider], kinds: Mapping[str, ProviderKind], pools: list[HttpPool]
    ) -> None:
        self.kinds = kinds
        self._providers = providers
        self._pools = pools

    def for_provider(self, provider_id: str) -> Provider:
        return self._providers[provider_id]

    async def __aenter__(self) -> Self:
        for pool in self._pools:
            pool.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        with anyio.move_on_after(_CLOSE_WITHIN_S, shield=True):
            for pool in self._pools:
                await pool.close()


def build_providers(settings: Mapping[str, ProviderSettings], env: Mapping[str, str], clock: Clock) -> ProviderRegistry:
    """`scripted` exists even where nobody configured it. Raises InvalidProviders with every fault at once."""
    settings = {SCRIPTED: ProviderSettings(kind=ProviderKind.SCRIPTED), **settings}
    faults = [f"providers.{id_}.{fault}" for id_, each in settings.items() for fault in provider_faults(each, env)]
    if faults:
        raise InvalidProviders(faults)
    pools: list[HttpPool] = []
    providers = {id_: _provider(each, env, clock, pools) for id_, each in settings.items()}
    return ProviderRegistry(providers, {id_: each.kind for id_, each in settings.items()}, pools)


def provider_faults(settings: ProviderSettings, env: Mapping[str, str]) -> Iterator[str]:
    """Everything that would keep this provider from being called, each line led by the setting's name."""
    if settings.kind is ProviderKind.SCRIPTED:
        return
    for fault in base_url_faults(
        settings.base_url, allow_http=settings.allow_http, allow_private_network=settings.allow_private_network
    ):
        yield f"base_url: {fault}"
    if settings.auth.key is not None:
        yield from _reference_faults("auth.key", settings.auth.key, env)
    taken = _RESERVED_HEADERS | ({auth_header(settings)[0].lower()} if settings.auth.key else set())
    for name, value in settings.extra_headers.items():
        if name.lower() in taken:
            yield f"extra_headers.{name}: may not be replaced"
        if is_reference(value):
            yield from _reference_faults(f"extra_headers.{name}", value, env)


def _reference_faults(setting: str, reference: str, env: Mapping[str, str]) -> Iterator[str]:
    try:
        resolve(reference, env)
    except UnusableReference as fault:
        yield f"{setting}: {fault}"


def _provider(settings: ProviderSettings, env: Mapping[str, str], clock: Clock, pools: list[HttpPool]) -> Provider:
    if settings.kind is ProviderKind.SCRIPTED:
        return ScriptedProvider(clock, settings.seed)
    pools.append(_pool(settings))
    limits = ResponseLimits(max_frame_bytes=settings.max_frame_bytes, lenient_media_type=settings.lenient_media_type)
    return HttpProvider(pools[-1], ADAPTERS[settings.kind](settings, _headers(settings, env)), clock, limits)


def _pool(settings: ProviderSettings) -> HttpPool:
    return HttpPool(
        connections=settings.max_streams + _SPARE_CONNECTIONS, allow_private_network=settings.allow_private_network
    )


def _headers(settings: ProviderSettings, env: Mapping[str, str]) -> CallHeaders:
    key = None if settings.auth.key is None else resolve(settings.auth.key, env)
    extra = {
        name: resolve(value, env) if is_reference(value) else Secret(value)
        for name, value in settings.extra_headers.items()
    }
    return CallHeaders(settings, key, extra, f"mini-chat/{version('mini-chat')}")
